"""What all pages of HTML share: elements, frame, style, small pictures and histograms; one file each, no network."""

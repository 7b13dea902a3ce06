"""Where the face is: five-point alignment of pictures to one crop size."""

"""The page's style sheet: one column on a phone, figures side by side on a desk, light and dark.

Colours are those of `colours`; the SVGs of `fer_core.evaluation.figures` use the same variables.
"""

from fer_core.pages.colours import DARK, VARIABLES


def style_sheet() -> str:
    """Return the CSS. `data-theme` on <html> overrides what the reader's system prefers."""
    light = "".join(f"--{name}:{colour};" for colour, name in VARIABLES.items())
    dark = "".join(f"--{name}:{colour};" for name, colour in DARK.items())
    themes = (
        f":root{{color-scheme:light;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root:not([data-theme=light]){{color-scheme:dark;{dark}}}}}"
        f":root[data-theme=dark]{{color-scheme:dark;{dark}}}"
    )
    return themes + _RULES


_RULES = """
:root{--sans:system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
*{box-sizing:border-box}
html{scroll-padding-top:3.6rem;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 var(--sans)}
main,.top>div,footer{max-width:1320px;margin:0 auto;padding:0 16px}
a{color:var(--blue)}
:focus-visible{outline:3px solid var(--blue);outline-offset:2px;border-radius:2px}
.skip{position:absolute;left:-999px}.skip:focus{left:8px;top:8px;background:var(--paper);padding:8px;z-index:9}
.top{position:sticky;top:0;z-index:5;background:var(--paper);border-bottom:1px solid var(--light)}
.top>div{display:flex;align-items:center;gap:12px}
nav{flex:1;min-width:0;overflow-x:auto;scrollbar-width:thin}
nav ul{display:flex;gap:2px;list-style:none;margin:0;padding:0}
nav a{display:block;padding:13px 9px;color:var(--ink);text-decoration:none;white-space:nowrap;font-size:14px}
nav a:hover{text-decoration:underline}
button{font:inherit;color:inherit;background:none;border:0;cursor:pointer}
#theme{border:1px solid var(--light);border-radius:6px;padding:4px 10px;font-size:14px;white-space:nowrap}
#theme:hover{border-color:var(--grey)}
h1{font-size:clamp(1.5rem,1.1rem + 1.8vw,2.3rem);line-height:1.2;margin:1.6rem 0 .6rem;text-wrap:balance}
h2{font-size:1.4rem;line-height:1.25;margin:0 0 .7rem}
h3{font-size:1.05rem;margin:1.4rem 0 .5rem}
.figures>div{min-width:0}.figures>div>figure+*{margin-top:28px}
.figures>div>h3:first-child{margin-top:0}.figures .notes{columns:auto}
section{margin:0 0 3rem;padding-top:1.4rem;border-top:1px solid var(--light)}
p,figcaption,li{overflow-wrap:anywhere;max-width:78ch}
.lead{font-size:1.1rem;max-width:78ch;margin:.2rem 0 1rem}
.warning{border-left:5px solid var(--orange);background:var(--faint);padding:8px 14px;margin:0 0 1rem;max-width:none}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(148px,1fr));gap:10px;margin:0 0 1.2rem;
padding:0}
.facts>div{background:var(--faint);border-radius:8px;padding:12px 14px}
.facts dt{font-size:13.5px;color:var(--grey)}
.facts dd{margin:0;font-size:clamp(1.25rem,1rem + 1vw,1.6rem);line-height:1.25;font-weight:650;
font-variant-numeric:tabular-nums}
.facts small{display:block;font-size:13.5px;line-height:1.35;font-weight:400;margin-top:3px}
.notes{padding-left:1.1rem;font-size:15px;columns:2 460px;column-gap:36px}
.notes li{margin:.25rem 0;break-inside:avoid}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:28px 36px;
align-items:start}
.figures.three{grid-template-columns:repeat(auto-fit,minmax(min(100%,350px),1fr))}
figure{margin:0;min-width:0;max-width:640px}
figure svg{display:block;width:100%;height:auto}
figure img{max-width:100%;height:auto;display:block;background:#fff;border-radius:4px}
figcaption{font-size:15px;margin-top:.5rem}
figcaption::before{content:"";display:block;width:34px;border-top:3px solid var(--orange);margin:0 0 .35rem}
.box{overflow:auto;border:1px solid var(--light);border-radius:8px;max-width:100%;width:fit-content;margin:0 0 1rem}
table{border-collapse:separate;border-spacing:0;font-size:14px;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:8px 10px 4px;color:var(--grey);font-size:13.5px;position:sticky;left:0;
max-width:calc(100vw - 50px)}
th,td{padding:6px 9px;border-bottom:1px solid var(--light);text-align:left;vertical-align:top}
tbody:last-child tr:last-child>*{border-bottom:0}
th{font-weight:500}
thead th{font-weight:650;vertical-align:bottom;background:var(--paper)}
.number{text-align:right;white-space:nowrap}
th[scope=row]{position:sticky;left:0;background:var(--paper);z-index:1;min-width:118px;max-width:250px;
border-right:1px solid var(--light)}
.gains thead th{position:sticky;top:0;z-index:2;padding:0}
.gains thead th:first-child{left:0;z-index:3;border-right:1px solid var(--light)}
.gains thead button{width:100%;padding:8px 9px;text-align:inherit;font-weight:inherit;white-space:normal;min-width:74px}
.gains thead button:hover{background:var(--faint)}
.gains thead button::after{content:"↕";color:var(--grey);margin-left:4px;font-weight:400}
.gains [aria-sort=ascending] button::after{content:"↑";color:var(--blue);font-weight:700}
.gains [aria-sort=descending] button::after{content:"↓";color:var(--blue);font-weight:700}
.gains .group th{background:var(--faint);font-weight:650;position:static;max-width:none;border-right:0;padding:0}
.gains .group span{position:sticky;left:0;display:inline-block;padding:8px 10px;max-width:calc(100vw - 50px)}
.gains tbody[hidden]{display:none}
.gains .off{color:var(--grey)}
.bar{width:96px;height:14px;margin-left:8px;vertical-align:-2px}
.gains th small{color:var(--grey);font-weight:400;white-space:nowrap}
.verdict{white-space:nowrap}
.verdict i{font-style:normal;display:inline-block;width:1.3em;font-weight:700}
.verdict small{display:block;white-space:normal;min-width:170px;color:var(--grey)}
.good i{color:var(--green)}.some i{color:var(--blue)}.below i{color:var(--orange)}.bad i{color:var(--vermilion)}
.none i{color:var(--grey)}
summary{cursor:pointer}
td details ul{margin:.3rem 0 0;padding-left:1.1rem;white-space:normal;width:240px}
.filter{border:0;padding:0;margin:0 0 .8rem;display:flex;flex-wrap:wrap;gap:6px;min-width:0}
.filter legend{float:left;margin:5px 6px 0 0;color:var(--grey);font-size:14px}
.filter label{position:relative}
.filter input{position:absolute;opacity:0;inset:0;margin:0;cursor:pointer}
.filter span{display:block;border:1px solid var(--light);border-radius:99px;padding:4px 12px;font-size:14px}
.filter input:checked+span{border-color:var(--blue);box-shadow:inset 0 0 0 1px var(--blue);font-weight:650}
.filter input:focus-visible+span{outline:3px solid var(--blue);outline-offset:2px}
#sorted{font-size:14px;color:var(--grey);margin:.3rem 0 0;min-height:1.5em}
.faces{display:grid;grid-template-columns:repeat(auto-fill,minmax(104px,1fr));gap:16px 12px;list-style:none;padding:0;
margin:1rem 0 0}
.faces li{font-size:13.5px;line-height:1.35}
.faces img{width:100%;max-width:160px;aspect-ratio:1;object-fit:cover;display:block;border-radius:6px;margin-bottom:5px}
.share{display:block;height:8px;background:var(--blue);min-width:1px;border-radius:2px;margin-top:6px}
.tracks{min-width:90px}
footer{color:var(--grey);font-size:14px;padding-bottom:2rem}
code{font-size:.92em;overflow-wrap:anywhere}
@media (max-width:699px){th,td{padding:6px 6px}.gains thead button{padding:8px 6px;min-width:54px}
.gains thead button::after{margin-left:2px}th[scope=row]{min-width:104px}}
@media (min-width:700px){.faces{grid-template-columns:repeat(auto-fill,minmax(138px,1fr))}
.facts{grid-template-columns:repeat(4,1fr)}
.gains th[scope=row]{min-width:205px;max-width:280px}main,.top>div,footer{padding:0 28px}.gains{max-height:82vh}}
@media print{.top,.filter,#sorted{display:none}.box{overflow:visible;border:0}
.gains tbody[hidden]{display:table-row-group}}
"""

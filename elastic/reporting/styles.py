"""Styles: how a page looks, on light and dark paper, on narrow screens and printed."""

from elastic.reporting.looks import DARK, INK, LIGHT, SOFT

DARK_INK, DARK_SOFT = "#e6edf3", "#30363d"


def _series(colours: tuple[str, ...]) -> str:
    return " ".join(f"--series-{number}: {colour};" for number, colour in enumerate(colours))


_LIGHT = f"--ink: {INK}; --muted: #57606a; --soft: {SOFT}; --paper: #f6f8fa; --card: #ffffff; --link: #0a5c80; " + (
    _series(LIGHT)
)
_DARK = (
    f"--ink: {DARK_INK}; --muted: #9da7b1; --soft: {DARK_SOFT}; --paper: #0d1117; --card: #161b22; --link: #6cb8e6; "
    + (_series(DARK))
)

STYLE = (
    f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
@media print {{ :root {{ color-scheme: light; --paper: #ffffff; }} }}
"""
    + """
*, ::before, ::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
header, main, footer { max-width: 62rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { margin: 0 0 .75rem; font-size: 2rem; line-height: 1.2; letter-spacing: -.01em; text-wrap: balance;
  overflow-wrap: anywhere; }
h2 { margin: 3rem 0 .75rem; font-size: 1.35rem; line-height: 1.3; overflow-wrap: anywhere; }
p { max-width: 44rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.lead { font-size: 1.15rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .wide:focus-visible { outline: 3px solid var(--link); outline-offset: 2px;
  border-radius: 2px; }
.skip { position: absolute; left: .5rem; top: -4rem; padding: .5rem 1rem; background: var(--card); }
.skip:focus { top: .5rem; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
summary { position: relative; }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: 1.25rem 0 0; padding: .6rem 0; list-style: none;
  border-block: 1px solid var(--soft); font-size: .95rem; }
.card { margin: 1.5rem 0; padding: 1.1rem 1.25rem; background: var(--card); border: 1px solid var(--soft);
  border-radius: 10px; }
.wide { overflow-x: auto; }
figcaption, caption { padding: 0 0 .6rem; font-weight: 600; text-align: left; overflow-wrap: anywhere; }
.note, .files { margin: .6rem 0 0; max-width: none; color: var(--muted); font-size: .9rem; }
svg { display: block; width: 100%; height: auto; margin: 0 auto; }
svg * { stroke-linecap: butt; stroke-linejoin: round; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem 1.4rem .35rem 0; border-bottom: 1px solid var(--soft); text-align: left;
  vertical-align: baseline; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 600; vertical-align: bottom; }
tbody th { font-weight: 500; }
tbody tr:last-child > * { border-bottom: 0; }
.number { text-align: right; white-space: nowrap; }
details { margin-top: .8rem; font-size: .95rem; }
summary { width: fit-content; color: var(--link); cursor: pointer; }
details .wide { max-height: 26rem; margin-top: .6rem; overflow: auto; }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) minmax(0, 1fr); gap: .35rem 1.5rem; margin: 0;
  font-size: .95rem; }
dt { color: var(--muted); overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
footer { padding-top: 1rem; padding-bottom: 3rem; color: var(--muted); font-size: .9rem; }
@media (max-width: 40rem) {
  header { padding-top: 1.5rem; }
  h1 { font-size: 1.6rem; }
  .card { margin-inline: -.5rem; padding: .9rem .75rem; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: .5rem; }
}
@media print {
  body { font-size: 10pt; }
  header, main, footer { max-width: none; padding: 0; }
  nav, summary, .files, .skip { display: none; }
  .card { padding: 0; border: 0; }
  .wide { overflow: visible; }
  svg { min-width: 0 !important; }
  figure, tr { break-inside: avoid; }
  h2, caption, figcaption { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
)

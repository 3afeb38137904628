"""How pages look: quiet, on a laptop's width, light or dark as the reader has it, legible in black and white."""

CHART_STYLE = """
.chart { margin: 1.1rem 0 0; break-inside: avoid; }
.chart figcaption { display: flex; flex-wrap: wrap; gap: .1rem 1.4rem; align-items: baseline; margin-bottom: .1rem; }
.chart svg { display: block; width: 100%; height: auto; overflow: visible; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1.1rem; color: var(--muted); font-size: .8125rem; }
.key { white-space: nowrap; }
.key svg { display: inline-block; width: 22px; height: 12px; margin-right: .4em; vertical-align: -1px; }
.chart text { font-size: 11px; fill: var(--muted); font-variant-numeric: tabular-nums; }
.middle { text-anchor: middle; }
.end { text-anchor: end; }
.grid { stroke: var(--hair); stroke-width: 1; }
.axis { stroke: var(--muted); stroke-width: 1; }
.band { fill: transparent; }
.band.odd { fill: var(--shade); }
.name { paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
.edge { stroke: var(--hair); stroke-width: 1; }
.blue { --tone: var(--blue); --soft: var(--blue-soft); }
.orange { --tone: var(--orange); --soft: var(--orange-soft); }
.green { --tone: var(--green); --soft: var(--green-soft); }
.red { --tone: var(--red); --soft: var(--red-soft); }
.violet { --tone: var(--violet); --soft: var(--violet-soft); }
.ink { --tone: var(--text); --soft: var(--shade); }
.muted { --tone: var(--muted); --soft: var(--shade); }
.line { fill: none; stroke: var(--tone); stroke-width: 1.75; stroke-linejoin: round; }
.line.ink { stroke-width: 1.4; }
.line.dashed { stroke-dasharray: 5 3; }
.area { fill: var(--soft); }
.point { fill: var(--tone); fill-opacity: .75; stroke: none; }
.point.dot { stroke: var(--tone); stroke-width: 5.2; stroke-linecap: round; stroke-opacity: .75; }
.point.ring, .point.cross, .point.plus { fill: none; stroke: var(--tone); stroke-width: 1.75; }
.point.beyond { fill: var(--page); stroke: var(--tone); stroke-width: 1.25; }
.mark { stroke: var(--tone); stroke-width: 1; stroke-dasharray: 1.5 2.5; opacity: .7; }
.badge { fill: var(--page); stroke: var(--tone); stroke-width: 1.25; }
.badge.red, .badge.orange { fill: var(--tone); }
.badge.red + .label.label, .badge.orange + .label.label { fill: var(--page); }
.chart .label { font-size: 9.5px; font-weight: 600; fill: var(--text); }
.chart .point-name { font-weight: 600; fill: var(--text); paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
.objective { stroke: var(--red); stroke-width: 1.25; stroke-dasharray: 9 3 2 3; }
.chart .objective-label { fill: var(--red); font-weight: 600; }
.objective-label { paint-order: stroke; stroke: var(--page); stroke-width: 3px; }
"""
"""What drawings need; the colours are variables that `PAGE_STYLE` sets."""

PAGE_STYLE = """
:root {
  color-scheme: light dark;
  --page: #fff; --text: #1b1d21; --muted: #62676f; --hair: #e6e7ea; --shade: #f4f5f6;
  --blue: #1d5fa6; --blue-soft: #b3cfec; --orange: #b9500d; --orange-soft: #fdebdc; --green: #22703f;
  --green-soft: #d5ebdc; --red: #b3221b; --red-soft: #f8dcda; --violet: #6a4a9f; --violet-soft: #e4dcf1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --text: #e5e6e8; --muted: #979ca5; --hair: #2a2d33; --shade: #1c1f24;
    --blue: #7db1ea; --blue-soft: #2b507a; --orange: #ef9d61; --orange-soft: #3f2a19; --green: #74c493;
    --green-soft: #1f3d2b; --red: #ff8d80; --red-soft: #4f2724; --violet: #b79bea; --violet-soft: #372a4f;
  }
}
* { box-sizing: border-box; }
body {
  max-width: 1092px; margin: 0 auto; padding: 2rem 1.6rem 4rem; background: var(--page); color: var(--text);
  font: 15px/1.5 Inter, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", Arial, sans-serif;
}
h1 { margin: .1rem 0 .3rem; font-size: 1.75rem; line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 2.4rem 0 .5rem; font-size: 1.0625rem; letter-spacing: -.005em; }
p { max-width: 76ch; margin: .3rem 0; }
.kicker, .note { color: var(--muted); font-size: .8125rem; max-width: 110ch; }
.lead { font-size: 1.0625rem; max-width: 84ch; }
.word { font-weight: 650; white-space: nowrap; }
.yes { color: var(--green); }
.no { color: var(--red); }
.open { color: var(--orange); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .84375rem; line-height: 1.4; }
table, ol.events { font-variant-numeric: tabular-nums; }
th, td { padding: .34rem .8rem .34rem 0; border-bottom: 1px solid var(--hair); text-align: left; vertical-align: top; }
th { color: var(--muted); font-weight: 500; }
thead th { font-size: .78125rem; vertical-align: bottom; }
tbody th { color: var(--text); font-weight: 600; }
tr { break-inside: avoid; }
.number { text-align: right; white-space: nowrap; }
.group { text-align: center; border-left: 1px solid var(--hair); padding-left: .8rem; }
.first { border-left: 1px solid var(--hair); padding-left: .8rem; }
.loads { font-size: .78125rem; }
.loads th, .loads td { padding-right: .45rem; }
.loads .first, .loads .group { padding-left: .45rem; }
td:last-child, th:last-child { padding-right: 0; }
.narrow th, .narrow td:not(:last-child), .outcomes { white-space: nowrap; }
.narrow td:last-child { width: 100%; }
.loads th .note { white-space: nowrap; font-weight: 400; }
.missed { color: var(--red); font-weight: 650; }
ol.events { columns: 3; column-gap: 2rem; margin: .5rem 0 0; padding: 0; list-style: none; font-size: .8125rem; }
ol.events li { display: flex; gap: .5rem; break-inside: avoid; padding: .08rem 0; }
ol.events b { min-width: 1.2rem; }
ol.events time { min-width: 2.3rem; color: var(--muted); font-variant-numeric: tabular-nums; text-align: right; }
.red-text { color: var(--red); }
pre {
  margin: .4rem 0; padding: .8rem 1rem; overflow-x: auto; background: var(--shade); border-radius: 4px;
  font: .8125rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
summary { color: var(--muted); font-size: .8125rem; cursor: pointer; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.4rem; margin: .4rem 0; font-size: .84375rem; }
dt { font-weight: 600; }
dd { margin: 0; max-width: 84ch; overflow-wrap: anywhere; }
@media (max-width: 700px) { ol.events { columns: 1; } }
@media print {
  :root {
    --page: #fff; --text: #000; --muted: #444; --hair: #ccc; --shade: #f4f5f6;
    --blue: #1d5fa6; --blue-soft: #b3cfec; --orange: #b9500d; --orange-soft: #fdebdc; --green: #22703f;
    --green-soft: #d5ebdc; --red: #b3221b; --red-soft: #f8dcda; --violet: #6a4a9f; --violet-soft: #e4dcf1;
  }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2 { break-after: avoid; }
  .wide { overflow: visible; }
  .loads, .loads thead th, .loads .note { font-size: 6.3pt; }
  .loads th, .loads td { padding-right: .3rem; }
  .loads .first, .loads .group { padding-left: .3rem; }
}
"""
"""Everything else."""

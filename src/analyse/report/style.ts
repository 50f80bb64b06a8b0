/** The page's own style: system fonts, light and dark, narrow and wide, and paper. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d0d7de;--soft:#f6f8fa;--link:#0a58ca;
--good:#11632a;--fair:#7a4b00;--bad:#b00020;--data:#2563c9;--comp:#0b7d6b;--xbz:#b8560b;--zero:#aab4c0;--never:#eef1f4}
@media (prefers-color-scheme:dark){:root{--bg:#14171b;--fg:#dfe4ea;--dim:#9aa5b1;--line:#353c45;--soft:#1c2127;--link:#7db2ff;
--good:#6fd08c;--fair:#e3b341;--bad:#ff8a8a;--data:#5b95f5;--comp:#2fb8a0;--xbz:#e08a3c;--zero:#5d6875;--never:#262c33}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);font:14px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header,main,footer{max-width:76rem;margin:0 auto;padding:0 1rem}
h1{font-size:1.45rem;line-height:1.25;margin:1.2rem 0 .2rem;overflow-wrap:anywhere}
h2{font-size:1.1rem;margin:2rem 0 .5rem;padding-top:.5rem;border-top:2px solid var(--line)}
h3{font-size:1rem;margin:1.2rem 0 .3rem}
p{margin:.4rem 0;overflow-wrap:anywhere}
ul{margin:.3rem 0;padding-left:1.3rem}
li{overflow-wrap:anywhere}
code,pre,td.n{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.92em}
code{overflow-wrap:anywhere}
pre{background:var(--soft);border:1px solid var(--line);border-radius:4px;padding:.5rem .7rem;margin:.4rem 0;overflow-x:auto;line-height:1.35}
a{color:var(--link)}
:focus-visible{outline:2px solid var(--link);outline-offset:1px}
nav ul{display:flex;flex-wrap:wrap;gap:.1rem .9rem;list-style:none;margin:.6rem 0;padding:0}
.state{border:1px solid;border-left-width:6px;border-radius:4px;padding:.3rem .8rem;margin:.8rem 0;background:var(--soft)}
.good{color:var(--good)}.fair{color:var(--fair)}.bad{color:var(--bad)}
.state p{color:var(--fg)}.state.good strong{color:var(--good)}.state.fair strong{color:var(--fair)}.state.bad strong{color:var(--bad)}
.dim,.note{color:var(--dim)}
.find{border-left:3px solid var(--bad);padding-left:.7rem;margin:.6rem 0}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.15rem 1rem;margin:.5rem 0}
dl>div{display:contents}
dt{color:var(--dim)}
dd{margin:0;overflow-wrap:anywhere}
.box{overflow:auto;max-height:75vh;border:1px solid var(--line);border-radius:4px;margin:.6rem 0}
table{border-collapse:separate;border-spacing:0;width:100%}
caption{text-align:left;color:var(--dim);padding:.35rem .6rem}
th,td{padding:.18rem .6rem;text-align:left;vertical-align:baseline;border-top:1px solid var(--line)}
thead th{position:sticky;top:0;background:var(--soft);border-bottom:1px solid var(--line);white-space:nowrap;z-index:1}
tbody th{font-weight:normal;min-width:9rem}
tbody tr:hover>*{background:var(--soft)}
.n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.hash{overflow-wrap:anywhere}
figure{margin:.9rem 0}
figcaption{overflow-wrap:anywhere}
figure p{margin:.1rem 0}
.strip{display:block;width:100%;height:1.9rem;border:1px solid var(--line);margin:.2rem 0}
.strip.even{height:.6rem}
.ends{display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 1rem;color:var(--dim)}
.ends>:nth-child(2){flex:1 1 auto;text-align:center}
.legend span{white-space:nowrap;margin-right:.9rem}
.key{width:.95rem;height:.95rem;vertical-align:-.15rem;border:1px solid var(--line)}
.bar{display:block;width:100%;min-width:6rem;height:.9rem;margin-top:.15rem}
.bar rect{fill:var(--data)}
.k-data{fill:var(--data)}.k-comp{fill:var(--comp)}.k-xbz{fill:var(--xbz)}.k-zero{fill:var(--zero)}.k-never{fill:var(--never)}
details{margin:.15rem 0}
summary{cursor:pointer;overflow-wrap:anywhere}
.device{border-top:1px solid var(--line);margin:0;padding:.15rem 0}
.device ul{list-style:none;border-left:1px solid var(--line);margin:.1rem 0 .1rem .3rem;padding-left:.8rem}
.device b{font-weight:600}.device i{color:var(--dim)}
.group>summary h3{display:inline}.group>.device{margin-left:1rem}
.search input{font:inherit;max-width:100%}[hidden]{display:none!important}
.mark{fill:var(--bad);stroke:var(--bg);stroke-width:.15}
footer{color:var(--dim);margin:2rem auto 1.5rem;border-top:1px solid var(--line);padding-top:.5rem}
@media (max-width:40rem){body{font-size:13px}dl{display:block}dd{margin:0 0 .35rem}th,td{padding:.18rem .4rem}.ends>:nth-child(2){order:3;flex-basis:100%;text-align:left}header,main,footer{padding:0 .6rem}}
@media print{:root{color-scheme:light;--bg:#fff;--fg:#000;--dim:#444;--line:#bbb;--soft:#f4f4f4;--link:#000;--good:#11632a;--fair:#7a4b00;--bad:#b00020;
--data:#2563c9;--comp:#0b7d6b;--xbz:#b8560b;--zero:#aab4c0;--never:#eef1f4}
body{font-size:9.5pt}header,main,footer{max-width:none;padding:0}nav,.search{display:none}.box{max-height:none;overflow:visible}thead th{position:static}
tr,figure,dl>div{break-inside:avoid}h2,h3,caption{break-after:avoid}pre{white-space:pre-wrap;overflow-wrap:anywhere}
svg{print-color-adjust:exact;-webkit-print-color-adjust:exact}
details::details-content{content-visibility:visible;block-size:auto}}
`;

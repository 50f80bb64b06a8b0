import { STYLE as REPORT } from "../analyse/report/style.js";

/** The style of the report, and what only the page has. */
export const STYLE = `${REPORT}
button,select,input,textarea{font:inherit;color:var(--fg);background:var(--soft);border:1px solid var(--dim);border-radius:4px;padding:.15rem .5rem;max-width:100%}
button{cursor:pointer}
button:hover{background:var(--line)}
.choose{display:block;border:2px dashed var(--dim);border-radius:8px;padding:3rem 1rem;text-align:center;margin:1rem 0}
.choose.small{padding:.5rem;margin:.3rem 0;border-width:1px}
.choose label{display:block}
.choose label+label{margin-top:1rem}
.choose.small label+label{margin-top:.3rem}
.choose input{display:block;margin:.6rem auto 0}
.progress{position:fixed;left:0;right:0;bottom:0;z-index:2;background:var(--bg);border-top:1px solid var(--line);padding:.4rem 1rem;display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:center}
footer{margin-bottom:4rem}
.progress progress{flex:1 1 10rem}
.tabs{display:flex;flex-wrap:wrap;gap:.2rem;border-bottom:2px solid var(--line);margin-top:1rem}
.tabs button{border-radius:4px 4px 0 0;border-bottom:none;background:var(--bg)}
.tabs button[aria-selected=true]{background:var(--soft);font-weight:600;border-top:3px solid var(--link)}
#panel h2{border:none;margin-top:.8rem}
.lines,.hits{white-space:pre;overflow-x:auto}
.hits{margin-left:1.2rem}
.command code{white-space:pre-wrap}
.refusal{color:var(--bad);white-space:pre-wrap}
.field{display:inline-flex;flex-direction:column;gap:.1rem;margin:.3rem .6rem .3rem 0;max-width:100%}
.field.wide,.field.wide textarea{display:block;width:100%}
.field span{color:var(--dim)}
.row{display:flex;flex-wrap:wrap;gap:.2rem .5rem;align-items:end}
.row>button{margin-bottom:.3rem}
.tree,.tree ul{list-style:none;padding-left:0}
.tree ul{border-left:1px solid var(--line);padding-left:.8rem;margin-left:.3rem}
.tree>li{border-top:1px solid var(--line);padding:.15rem 0}
.tools{float:right;display:inline-flex;gap:.2rem}
.tools button{padding:0 .45rem}
.legend{display:flex;flex-wrap:wrap}
.strip{cursor:zoom-in}
.bytes{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-x:auto;background:var(--soft);border:1px solid var(--line);border-radius:4px;padding:.4rem}
.bytes .line{white-space:pre;line-height:1.5}
.bytes .at{color:var(--dim);margin-right:.8rem}
.bytes .line>span{padding:0 .28em}
.bytes .of{background:var(--line)}
.bytes .here{outline:2px solid var(--link)}
.said{min-height:6em}
@media (max-width:40rem){.tools{float:none;display:flex}.bytes .line{font-size:11px}.bytes .line>span{padding:0 .1em}.choose{padding:1.2rem .6rem}}
`;

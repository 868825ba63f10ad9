/** The page's colours: those of text and lines have a contrast of 4.5 and more on their background, those of bars of 3. */
export const STYLE = `
:root { --ink: #1c2430; --soft: #566172; --paper: #fff; --line: #d5dae1; --bar: #3b74b9; --mark: #a8430c;
  --good: #14693a; --bad: #b3231b;
  --p0: #6b7f99; --p1: #2f7f86; --p2: #a4803a; --p3: #3b74b9; --p4: #7c62ab; --p5: #b3596b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #a3aebd; --paper: #14181e; --line: #38414d;
  --bar: #5b94d8; --mark: #f0935b; --good: #62c88d; --bad: #ff8a80;
  --p0: #8798b0; --p1: #4fa9b0; --p2: #c9a45c; --p3: #5b94d8; --p4: #a08ad0; --p5: #d67f90; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 24px 16px 64px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 36px 0 4px; }
p { margin: 4px 0 12px; } .verdict { font-weight: 600; } .good { color: var(--good); } .bad { color: var(--bad); }
figure { margin: 12px 0 20px; } figcaption { font-weight: 600; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--soft); }
.bar { fill: var(--bar); } .axis, .tick { stroke: var(--line); } .mark { stroke: var(--mark); stroke-dasharray: 4 3; }
.label { fill: var(--mark); font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.part0 { fill: var(--p0); } .part1 { fill: var(--p1); } .part2 { fill: var(--p2); } .part3 { fill: var(--p3); }
.part4 { fill: var(--p4); } .part5 { fill: var(--p5); }
.table { overflow-x: auto; margin: 8px 0 20px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--soft); padding-bottom: 4px; }
th, td { padding: 3px 16px 3px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th[scope=row], th:first-child { text-align: left; font-weight: 400; } thead th { color: var(--soft); font-weight: 600; }
`;

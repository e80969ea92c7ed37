//! Pictures of runs: the share of traffic that faulty hosts got, second by second, as SVG.

use std::fmt::Write;

use crate::router::Policy;
use crate::scenario::Scenario;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const TOP: f64 = 34.0;
const RIGHT: f64 = 170.0;
const BOTTOM: f64 = 36.0;
/// Colours that differ to every eye (Okabe and Ito 2008; three of Tol 2021).
const COLOURS: [&str; 11] = [
    "#0072b2", "#56b4e9", "#332288", "#88ccee", "#999999", "#009e73", "#e69f00", "#cc79a7",
    "#d55e00", "#661100", "#000000",
];

/// The picture of `scenario`: a line for each policy.
pub fn shares(scenario: &Scenario, lines: &[(Policy, Vec<f64>)]) -> String {
    let seconds = lines.iter().map(|it| it.1.len()).max().unwrap_or(1).max(2);
    let highest = lines
        .iter()
        .flat_map(|it| &it.1)
        .copied()
        .fold(0.01, f64::max);
    let at = |second: f64, share: f64| {
        let x = LEFT + second / (seconds - 1) as f64 * (WIDTH - LEFT - RIGHT);
        let y = HEIGHT - BOTTOM - share / highest * (HEIGHT - TOP - BOTTOM);
        (x, y)
    };
    let mut svg = head(scenario);
    fault(&mut svg, scenario, &at);
    axes(&mut svg, seconds, highest, &at);
    for (place, (policy, line)) in lines.iter().enumerate() {
        let colour = COLOURS
            .get(place % COLOURS.len())
            .copied()
            .unwrap_or_default();
        let points = line.iter().enumerate().map(|(second, share)| {
            let (x, y) = at(second as f64, *share);
            format!("{x:.1},{y:.1}")
        });
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            svg,
            r#"<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>"#
        );
        let y = TOP + 12.0 + 18.0 * place as f64;
        let x = WIDTH - RIGHT + 16.0;
        let _ = writeln!(
            svg,
            r#"<line x1="{x}" y1="{y}" x2="{}" y2="{y}" stroke="{colour}" stroke-width="3"/><text x="{}" y="{}">{}</text>"#,
            x + 18.0,
            x + 24.0,
            y + 4.0,
            policy.name()
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn head(scenario: &Scenario) -> String {
    let Scenario { name, about, .. } = scenario;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"13\">{name}: {about}; share of traffic at the faulty hosts</text>\n"
    )
}

fn fault(svg: &mut String, scenario: &Scenario, at: &impl Fn(f64, f64) -> (f64, f64)) {
    let (from, _) = at(scenario.fault.from.as_secs_f64(), 0.0);
    let (until, bottom) = at(scenario.fault.until.as_secs_f64(), 0.0);
    let _ = writeln!(
        svg,
        r##"<rect x="{from:.1}" y="{TOP}" width="{:.1}" height="{:.1}" fill="#f3f3f3"/>"##,
        (until - from).max(0.0),
        bottom - TOP
    );
}

fn axes(svg: &mut String, seconds: usize, highest: f64, at: &impl Fn(f64, f64) -> (f64, f64)) {
    let (_, bottom) = at(0.0, 0.0);
    let right = WIDTH - RIGHT;
    let _ = writeln!(
        svg,
        r##"<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#444"/>"##
    );
    for part in [0.0, 0.5, 1.0] {
        let (_, y) = at(0.0, highest * part);
        let percent = highest * part * 100.0;
        let _ = writeln!(
            svg,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{percent:.1} %</text>"#,
            LEFT - 6.0,
            y + 4.0
        );
    }
    for second in (0..seconds).step_by(20) {
        let (x, y) = at(second as f64, 0.0);
        let _ = writeln!(
            svg,
            r#"<text x="{x:.1}" y="{:.1}" text-anchor="middle">{second} s</text>"#,
            y + 16.0
        );
    }
}

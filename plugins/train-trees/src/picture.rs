//! What came of a training, as one picture: how often it was right, what it looked at, how it learnt.
//!
//! SVG without script, font or reference to anything outside. Its colours follow the reader's light or dark scheme, and
//! nothing is told by colour alone.

use std::fmt::Write as _;

use crate::boost::{Importance, Point};
use crate::metrics::Confusion;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 560.0;
/// Features that are shown; the others are counted.
const SHOWN: usize = 10;
/// Characters of a name that fit beside its bar.
const NAME: usize = 26;

const STYLE: &str = "\
.ground{fill:#fff}.ink,text{fill:#1f2430}.faint{fill:#5b6272}.mark{fill:#2563c9}.other{stroke:#b4540a}\
.rule{stroke:#c9ced8}.line{stroke:#2563c9}text{font:14px system-ui,sans-serif}.title{font-weight:600;font-size:16px}\
.small{font-size:12px}.figure{font-size:24px;font-weight:600}\
@media (prefers-color-scheme:dark){.ground{fill:#15181f}.ink,text{fill:#e8eaf0}.faint{fill:#a2a9b8}\
.mark{fill:#6ea3f5}.other{stroke:#f0a35e}.rule{stroke:#3a4150}.line{stroke:#6ea3f5}}";

/// Draws it. `label` is the column that was predicted.
#[must_use]
pub fn draw(label: &str, confusion: &Confusion, importance: &[Importance], curve: &[Point]) -> String {
    let (accuracy, rows) = (percent(confusion.accuracy()), confusion.total());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         aria-labelledby=\"title told\">\n<title id=\"title\">Training: {accuracy} of {rows} rows predicted right</title>\n\
         <desc id=\"told\">{}</desc>\n<style>{STYLE}</style>\n\
         <rect class=\"ground\" width=\"{WIDTH}\" height=\"{HEIGHT}\"/>\n",
        plain(&told(label, confusion, importance)),
    );
    matrix(&mut svg, label, confusion);
    bars(&mut svg, importance);
    loss(&mut svg, curve);
    svg + "</svg>\n"
}

/// The picture in words, for those who do not see it.
fn told(label: &str, c: &Confusion, importance: &[Importance]) -> String {
    let best: Vec<String> =
        importance.iter().take(3).map(|i| format!("{} {}", short(&i.feature), percent(i.gain))).collect();
    format!(
        "{label} 0: {} right, {} wrong. {label} 1: {} right, {} wrong. Most telling: {}.",
        c.true_negatives,
        c.false_positives,
        c.true_positives,
        c.false_negatives,
        best.join(", ")
    )
}

fn matrix(svg: &mut String, label: &str, c: &Confusion) {
    text(svg, (24.0, 34.0), "title", "Confusion matrix of the test rows");
    let accuracy = format!("{} of {} predicted right", percent(c.accuracy()), c.total());
    text(svg, (24.0, 56.0), "faint", &accuracy);
    let cells = [[c.true_negatives, c.false_positives], [c.false_negatives, c.true_positives]];
    for (actual, row) in cells.into_iter().enumerate() {
        let y = 96.0 + 92.0 * actual as f64;
        text(svg, (24.0, y + 50.0), "small", &format!("actual {actual}"));
        let all = row.iter().sum::<u32>().max(1);
        for (said, count) in row.into_iter().enumerate() {
            let x = 76.0 + 122.0 * said as f64;
            let weight = 0.06 + 0.34 * f64::from(count) / f64::from(all);
            line(
                svg,
                format_args!(
                    "<rect class=\"mark\" x=\"{x}\" y=\"{y}\" width=\"118\" height=\"88\" rx=\"4\" fill-opacity=\"{weight:.2}\"/>"
                ),
            );
            let word = if actual == said { "right" } else { "wrong" };
            centred(svg, (x + 59.0, y + 48.0), "figure", &count.to_string());
            centred(svg, (x + 59.0, y + 70.0), "small", word);
        }
    }
    for said in 0..2 {
        centred(svg, (135.0 + 122.0 * f64::from(said), 88.0), "small", &format!("predicted {said}"));
    }
    text(
        svg,
        (24.0, 300.0),
        "faint small",
        &format!("{}: 0 and 1, as they are and as the trees predict", short(label)),
    );
}

fn bars(svg: &mut String, importance: &[Importance]) {
    text(svg, (364.0, 34.0), "title", "Feature importance");
    text(svg, (364.0, 56.0), "faint", "average gain of a split, as a share");
    let longest = importance.iter().map(|i| i.gain).fold(f64::MIN_POSITIVE, f64::max);
    for (n, i) in importance.iter().take(SHOWN).enumerate() {
        let y = 72.0 + 22.0 * n as f64;
        ending(svg, (544.0, y + 14.0), "small", &short(&i.feature));
        let width = 140.0 * i.gain / longest;
        line(
            svg,
            format_args!("<rect class=\"mark\" x=\"552\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" rx=\"2\"/>"),
        );
        text(svg, (558.0 + width, y + 13.0), "small", &percent(i.gain));
    }
    if let Some(more @ 1..) = importance.len().checked_sub(SHOWN) {
        ending(svg, (544.0, 72.0 + 22.0 * SHOWN as f64 + 14.0), "faint small", &format!("and {more} more"));
    }
}

fn loss(svg: &mut String, curve: &[Point]) {
    let (left, right, top, bottom) = (76.0, 620.0, 380.0, 520.0);
    text(svg, (24.0, 344.0), "title", "Learning curve");
    text(svg, (24.0, 366.0), "faint", "log loss after so many trees: smaller is better");
    let (Some(last), most) = (curve.last(), curve.iter().map(|p| p.train.max(p.test)).fold(0.0, f64::max)) else {
        return;
    };
    if most <= 0.0 {
        return;
    }
    let x = |p: &Point| left + (right - left) * f64::from(p.trees) / f64::from(last.trees.max(1));
    let y = |loss: f64| bottom - (bottom - top) * loss / most;
    for share in [0.0, 0.5, 1.0] {
        let at = y(most * share);
        line(svg, format_args!("<path class=\"rule\" d=\"M{left} {at:.1}H{right}\"/>"));
        ending(svg, (left - 8.0, at + 4.0), "small", &format!("{:.2}", most * share));
    }
    let path = |loss: fn(&Point) -> f64| {
        let points: Vec<String> = curve.iter().map(|p| format!("{:.1} {:.1}", x(p), y(loss(p)))).collect();
        format!("M{}", points.join("L"))
    };
    line(svg, format_args!("<path class=\"line\" fill=\"none\" stroke-width=\"2\" d=\"{}\"/>", path(|p| p.train)));
    line(
        svg,
        format_args!(
            "<path class=\"other\" fill=\"none\" stroke-width=\"2\" stroke-dasharray=\"6 4\" d=\"{}\"/>",
            path(|p| p.test)
        ),
    );
    // The two names never meet, however close the lines end.
    let (train, test) = (y(last.train), y(last.test));
    let apart = if train >= test { (train.max(test + 16.0), test) } else { (train, test.max(train + 16.0)) };
    text(svg, (right + 8.0, apart.0 + 4.0), "small", &format!("training {:.2}", last.train));
    text(svg, (right + 8.0, apart.1 + 4.0), "small", &format!("test {:.2}", last.test));
    centred(svg, ((left + right) / 2.0, bottom + 24.0), "small", &format!("1 to {} trees", last.trees));
}

fn text(svg: &mut String, (x, y): (f64, f64), class: &str, words: &str) {
    line(svg, format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{}</text>", plain(words)));
}

fn centred(svg: &mut String, at: (f64, f64), class: &str, words: &str) {
    anchored(svg, at, class, "middle", words);
}

fn ending(svg: &mut String, at: (f64, f64), class: &str, words: &str) {
    anchored(svg, at, class, "end", words);
}

fn anchored(svg: &mut String, (x, y): (f64, f64), class: &str, anchor: &str, words: &str) {
    let words = plain(words);
    line(
        svg,
        format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\" text-anchor=\"{anchor}\">{words}</text>"),
    );
}

fn line(svg: &mut String, what: std::fmt::Arguments<'_>) {
    // Writing into a string can't fail.
    let _ = writeln!(svg, "{what}");
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// As much of a name as there is room for.
fn short(name: &str) -> String {
    match name.char_indices().nth(NAME) {
        Some(_) => name.chars().take(NAME - 1).chain(['…']).collect(),
        None => name.into(),
    }
}

/// A text that is no markup.
fn plain(words: &str) -> String {
    let mut out = String::with_capacity(words.len());
    for c in words.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // XML has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tiny() -> String {
        let confusion = Confusion { true_negatives: 6, false_positives: 2, false_negatives: 1, true_positives: 3 };
        let importance = [("Glucose", 0.75), ("a<b & \"c\"", 0.25)]
            .map(|(feature, gain)| Importance { feature: feature.into(), gain });
        let curve = [(1, 0.6, 0.62), (10, 0.2, 0.5)].map(|(trees, train, test)| Point { trees, train, test });
        draw("Outcome", &confusion, &importance, &curve)
    }

    #[test]
    fn a_tiny_training_looks_so() {
        insta::assert_snapshot!(tiny().replace(STYLE, "STYLE"), @r##"
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 560" role="img" aria-labelledby="title told">
        <title id="title">Training: 75.0 % of 12 rows predicted right</title>
        <desc id="told">Outcome 0: 6 right, 2 wrong. Outcome 1: 3 right, 1 wrong. Most telling: Glucose 75.0 %, a&lt;b &amp; &quot;c&quot; 25.0 %.</desc>
        <style>STYLE</style>
        <rect class="ground" width="760" height="560"/>
        <text x="24.0" y="34.0" class="title">Confusion matrix of the test rows</text>
        <text x="24.0" y="56.0" class="faint">75.0 % of 12 predicted right</text>
        <text x="24.0" y="146.0" class="small">actual 0</text>
        <rect class="mark" x="76" y="96" width="118" height="88" rx="4" fill-opacity="0.32"/>
        <text x="135.0" y="144.0" class="figure" text-anchor="middle">6</text>
        <text x="135.0" y="166.0" class="small" text-anchor="middle">right</text>
        <rect class="mark" x="198" y="96" width="118" height="88" rx="4" fill-opacity="0.15"/>
        <text x="257.0" y="144.0" class="figure" text-anchor="middle">2</text>
        <text x="257.0" y="166.0" class="small" text-anchor="middle">wrong</text>
        <text x="24.0" y="238.0" class="small">actual 1</text>
        <rect class="mark" x="76" y="188" width="118" height="88" rx="4" fill-opacity="0.15"/>
        <text x="135.0" y="236.0" class="figure" text-anchor="middle">1</text>
        <text x="135.0" y="258.0" class="small" text-anchor="middle">wrong</text>
        <rect class="mark" x="198" y="188" width="118" height="88" rx="4" fill-opacity="0.32"/>
        <text x="257.0" y="236.0" class="figure" text-anchor="middle">3</text>
        <text x="257.0" y="258.0" class="small" text-anchor="middle">right</text>
        <text x="135.0" y="88.0" class="small" text-anchor="middle">predicted 0</text>
        <text x="257.0" y="88.0" class="small" text-anchor="middle">predicted 1</text>
        <text x="24.0" y="300.0" class="faint small">Outcome: 0 and 1, as they are and as the trees predict</text>
        <text x="364.0" y="34.0" class="title">Feature importance</text>
        <text x="364.0" y="56.0" class="faint">average gain of a split, as a share</text>
        <text x="544.0" y="86.0" class="small" text-anchor="end">Glucose</text>
        <rect class="mark" x="552" y="72" width="140.0" height="16" rx="2"/>
        <text x="698.0" y="85.0" class="small">75.0 %</text>
        <text x="544.0" y="108.0" class="small" text-anchor="end">a&lt;b &amp; &quot;c&quot;</text>
        <rect class="mark" x="552" y="94" width="46.7" height="16" rx="2"/>
        <text x="604.7" y="107.0" class="small">25.0 %</text>
        <text x="24.0" y="344.0" class="title">Learning curve</text>
        <text x="24.0" y="366.0" class="faint">log loss after so many trees: smaller is better</text>
        <path class="rule" d="M76 520.0H620"/>
        <text x="68.0" y="524.0" class="small" text-anchor="end">0.00</text>
        <path class="rule" d="M76 450.0H620"/>
        <text x="68.0" y="454.0" class="small" text-anchor="end">0.31</text>
        <path class="rule" d="M76 380.0H620"/>
        <text x="68.0" y="384.0" class="small" text-anchor="end">0.62</text>
        <path class="line" fill="none" stroke-width="2" d="M130.4 384.5L620.0 474.8"/>
        <path class="other" fill="none" stroke-width="2" stroke-dasharray="6 4" d="M130.4 380.0L620.0 407.1"/>
        <text x="628.0" y="478.8" class="small">training 0.20</text>
        <text x="628.0" y="411.1" class="small">test 0.50</text>
        <text x="348.0" y="544.0" class="small" text-anchor="middle">1 to 10 trees</text>
        </svg>
        "##);
    }

    #[test]
    fn every_class_of_the_picture_has_a_colour_in_both_schemes() {
        let (light, dark) = STYLE.split_once("@media").unwrap();
        for class in [".ground", "text", ".faint", ".mark", ".other", ".rule", ".line"] {
            assert!(light.contains(class) && dark.contains(class), "{class}");
        }
    }

    proptest! {
        #[test]
        fn no_name_and_no_number_breaks_it(
            names in proptest::collection::vec(any::<String>(), 0..14),
            counts: [u16; 4],
            losses in proptest::collection::vec((0.0_f64..50.0, 0.0_f64..50.0), 0..5),
        ) {
            let [a, b, c, d] = counts.map(u32::from);
            let confusion = Confusion { true_negatives: a, false_positives: b, false_negatives: c, true_positives: d };
            let importance: Vec<Importance> =
                names.iter().map(|n| Importance { feature: n.clone(), gain: 0.1 }).collect();
            let curve: Vec<Point> =
                losses.iter().zip(1..).map(|((train, test), trees)| Point { trees, train: *train, test: *test }).collect();
            let svg = draw(names.first().map_or("y", String::as_str), &confusion, &importance, &curve);
            prop_assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            prop_assert!(!svg.contains("NaN") || names.iter().any(|n| n.contains("NaN")));
            prop_assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
            // Every `<` begins a tag of ours, and every `&` a name of XML.
            for rest in svg.split('<').skip(1) {
                prop_assert!(["svg", "/", "title", "desc", "style", "rect", "text", "path"].iter().any(|t| rest.starts_with(t)));
            }
            for rest in svg.split('&').skip(1) {
                prop_assert!(["amp;", "lt;", "gt;", "quot;"].iter().any(|t| rest.starts_with(t)));
            }
        }
    }
}

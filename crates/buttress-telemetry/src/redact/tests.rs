use super::*;
use proptest::prelude::*;

/// Secrets of every shape, each a word of its own.
const SECRETS: [&str; 6] = [
    "ann.lee@mail.example.com",
    "4111-1111-1111-1111",
    "5500005555555559",
    "ghp_0123456789abcdefghij",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
    "AKIAIOSFODNN7EXAMPLE",
];

proptest! {
    #[test]
    fn a_secret_is_cut_out_of_whatever_is_around_it(
        before in any::<String>(),
        after in any::<String>(),
        secret in prop::sample::select(&SECRETS[..]),
    ) {
        let text = format!("{before}\n{secret}\n{after}");
        let shown = Redaction::new().text(&text).into_owned();
        prop_assert!(!shown.contains(secret), "{shown}");
    }

    #[test]
    fn what_is_left_is_as_it_was_and_in_its_order(text in any::<String>()) {
        let redaction = Redaction::new();
        let mut rest = text.as_str();
        for part in redaction.text(&text).split(REDACTED) {
            let at = rest.find(part);
            prop_assert!(at.is_some(), "{part:?} in {rest:?}");
            rest = &rest[at.unwrap() + part.len()..];
        }
    }

    #[test]
    fn plain_words_are_left_alone(text in "([a-zA-Z]{1,10} ){0,10}") {
        prop_assume!(!text.to_ascii_lowercase().contains("basic"));
        prop_assume!(!text.to_ascii_lowercase().contains("bearer"));
        prop_assert_eq!(Redaction::new().text(&text), text.as_str());
    }
}

#[test]
fn what_touches_and_overlaps_is_cut_out_once() {
    let redaction = Redaction::new();
    assert_eq!(
        redaction.text("x password=ann@example.com y"),
        "x password=[redacted] y"
    );
    assert_eq!(redaction.text("ann@example.com"), REDACTED);
    assert_eq!(
        redaction.text("authorization: Bearer s3cr3t/tok"),
        "authorization: [redacted]"
    );
    assert_eq!(redaction.text("a@b.co c@d.org"), "[redacted] [redacted]");
}

#[test]
fn shapes_and_names_are_chosen() {
    let text = "ann@example.com 4111111111111111 password=x";
    assert_eq!(Redaction::nothing().text(text), text);
    let cards = Redaction::nothing().shapes([Shape::Card]);
    assert_eq!(cards.text(text), "ann@example.com [redacted] password=x");
    let named = Redaction::nothing().secret_names(["Order-No", "--"]);
    assert_eq!(named.text("order_no=7 n=8"), "order_no=[redacted] n=8");
    assert_eq!(named.field("orderNo", "7"), REDACTED);
    assert_eq!(named.field("n", "8"), "8");
    for shape in Shape::ALL {
        assert_eq!(shape.as_str().parse(), Ok(shape));
    }
    assert!("cards".parse::<Shape>().is_err());
}

/// The work for hostile texts of twice the length is twice the work: none of these may take minutes.
#[test]
fn no_text_makes_the_search_run_wild() {
    for unit in [
        "@",
        "a@",
        "%40",
        "a%40b",
        "1",
        "1 ",
        "1-",
        "4111 ",
        "=",
        "a=",
        ": ",
        "password=",
        "\"",
        "://",
        "@://",
        "PRIVATE KEY-----",
        "-----END",
        "bearer ",
        "bearer",
        "bearer=",
        "bearer:s3-",
        "eyJ",
        "eyJ-",
        "eyJ0123456789abcdef-",
        "basic/",
        "sk-",
        "x",
        "ü",
    ] {
        let text = unit.repeat(200_000 / unit.len());
        let shown = Redaction::new().text(&text).len();
        assert!(shown <= 12 * text.len(), "{unit}");
    }
}

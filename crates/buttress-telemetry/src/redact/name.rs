//! Names under which secrets stand.

/// The usual ones, in plain form: a name is one's if it ends with it.
const USUAL: [&str; 23] = [
    "accesskey",
    "apikey",
    "apitoken",
    "authorization",
    "authtoken",
    "clientsecret",
    "cookie",
    "credential",
    "credentials",
    "cvv",
    "jwt",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "pwd",
    "secret",
    "secretkey",
    "sessionid",
    "signature",
    "signingkey",
    "token",
];

/// `name` in lower case, its letters and digits alone.
pub(super) fn plain(name: &str) -> String {
    let kept = name.bytes().filter(u8::is_ascii_alphanumeric);
    kept.map(|byte| char::from(byte.to_ascii_lowercase()))
        .collect()
}

/// Whether `name` is one of the usual names of secrets.
pub(super) fn is_usual(name: &str) -> bool {
    USUAL.iter().any(|usual| ends_with(name, usual))
}

/// Whether `name` ends with one of `names`, which are plain.
pub(super) fn ends_with_any(name: &str, names: &[String]) -> bool {
    names.iter().any(|one| ends_with(name, one))
}

/// Whether the letters and digits of `name` end with `plain`; a short word has to be one of its own, so
/// that `bypass` is no pass.
fn ends_with(name: &str, plain: &str) -> bool {
    let name = name.as_bytes();
    let mut rest = name;
    for wanted in plain.bytes().rev() {
        let Some(at) = rest.iter().rposition(u8::is_ascii_alphanumeric) else {
            return false;
        };
        let (before, found) = rest.split_at(at);
        let is_wanted = |byte: &u8| byte.to_ascii_lowercase() == wanted;
        if !found.first().is_some_and(is_wanted) {
            return false;
        }
        rest = before;
    }
    plain.len() > SHORT || begins_word(name, rest.len())
}

/// Words no longer than this end other words.
const SHORT: usize = 4;

fn begins_word(name: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).and_then(|before| name.get(before));
    !before.is_some_and(u8::is_ascii_alphanumeric)
        || name.get(at).is_some_and(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_every_spelling() {
        for name in [
            "password",
            "DB_PASSWORD",
            "x-api-key",
            "apiKey",
            "Set-Cookie",
            "proxy-authorization",
            "client.secret",
            "access_token",
            "pwd",
            "db_pwd",
            "userPass",
            "X-Amz-Signature",
        ] {
            assert!(is_usual(name), "{name}");
        }
        for name in [
            "tokens",
            "bypass",
            "key",
            "path",
            "status",
            "cookies_seen",
            "",
        ] {
            assert!(!is_usual(name), "{name}");
        }
        assert_eq!(plain("X-Order_No 7"), "xorderno7");
        assert!(ends_with_any("my-order-no", &["orderno".to_owned()]));
        assert!(!ends_with_any("order", &["orderno".to_owned()]));
    }
}

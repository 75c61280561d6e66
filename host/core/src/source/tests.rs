use proptest::prelude::*;

use super::*;

fn rules(url: &str) -> HttpRules {
    HttpRules::new(BaseUrl::parse(url).unwrap())
}

fn injected(name: &str, value: &str) -> Injected {
    Injected { name: name.to_owned(), value: Template::parse(name, value).unwrap() }
}

#[test]
fn a_base_url_is_a_place_and_nothing_else() {
    assert_eq!(
        BaseUrl::parse("HTTPS://Data.Example.com:443/v1").unwrap().to_string(),
        "https://data.example.com/v1/"
    );
    assert_eq!(
        BaseUrl::parse("http://[2606:4700::1]:8080").unwrap().to_string(),
        "http://[2606:4700::1]:8080/"
    );
    for wrong in [
        "",
        "data",
        "/v1",
        "//host/",
        "ftp://host/",
        "file:///etc/passwd",
        "https://user@host/",
        "https://:pw@host/",
        "https://host/?a=b",
        "https://host/#x",
        "https://höst/",
        "https://ho st/",
        "https:\\\\host\\",
        "https://host/\r\nx",
        "https://host:99999/",
        "javascript:alert(1)",
    ] {
        let error = BaseUrl::parse(wrong).unwrap_err();
        assert_eq!(error.code(), "source.rule", "{wrong}");
        assert!(!error.to_string().contains("pw"), "{error}");
    }
}

#[test]
fn secrets_do_not_travel_in_the_clear_and_credentials_are_secrets() {
    let with = |url: &str, header: Injected| HttpRules { headers: vec![header], ..rules(url) }.check();
    with("https://host/", injected("authorization", "Bearer {secret:token}")).unwrap();
    with("https://host/", injected("authorization", "{basic:me:token}")).unwrap();
    let error = with("http://host/", injected("authorization", "Bearer {secret:token}")).unwrap_err();
    assert_eq!(error, RuleError::SecretInTheClear);
    for name in ["Authorization", "x-api-key", "private-token", "cookie"] {
        let error = with("https://host/", injected(name, "abc")).unwrap_err();
        assert!(!error.to_string().contains("abc") && error.to_string().contains("credential"), "{error}");
    }
    for name in ["host", "Content-Length", "accept-encoding", "a b", ""] {
        assert!(with("https://host/", injected(name, "{secret:a}")).is_err(), "{name}");
    }
    for text in [
        "{secret:A}",
        "{secret:}",
        "{secret}",
        "{",
        "}",
        "{basic:a}",
        "{basic:a:b:c}",
        "a\r\nb",
        "é",
        "{x:y}",
        "{secret:{secret:a}}",
        "{{secret:a}}",
    ] {
        let error = Template::parse("key", text).unwrap_err();
        assert!(error.to_string().starts_with("`key`: "), "{error}");
    }
    let template = Template::parse("key", "a {secret:b} {basic:u:c}").unwrap();
    assert_eq!(template.secrets().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn special_addresses_are_refused_when_the_source_is_added() {
    for url in [
        "http://127.0.0.1/",
        "http://169.254.169.254/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1]/",
    ] {
        let error = rules(url).check().unwrap_err();
        assert!(matches!(error, RuleError::Address { .. }), "{url}");
        assert!(error.next_step().unwrap().contains("--network"));
    }
    let networks = vec!["127.0.0.0/8".parse().unwrap()];
    HttpRules { networks, ..rules("http://127.0.0.1:8080/") }.check().unwrap();
}

/// Puts so many of something into rules.
type Fill = fn(&mut HttpRules, usize, &Injected);

#[test]
fn limits_lists_and_methods_are_bounded() {
    let wrong = [
        HttpRules { limits: HttpLimits { max_bytes: 0, ..HttpLimits::default() }, ..rules("https://a/") },
        HttpRules { limits: HttpLimits { retries: 11, ..HttpLimits::default() }, ..rules("https://a/") },
        HttpRules {
            limits: HttpLimits { per_minute: Some(0), ..HttpLimits::default() },
            ..rules("https://a/")
        },
        HttpRules { methods: vec!["CONNECT".into()], ..rules("https://a/") },
        HttpRules { methods: vec!["get".into()], ..rules("https://a/") },
        HttpRules { request_headers: vec!["Cookie".into()], ..rules("https://a/") },
        HttpRules { response_headers: vec!["Set-Cookie".into()], ..rules("https://a/") },
        HttpRules { paths: vec![PathPattern::everything(); 65], ..rules("https://a/") },
    ];
    for rules in wrong {
        rules.check().unwrap_err();
    }
    rules("https://a/").check().unwrap();
    let header = injected("x-client", "datanode");
    let lists: [Fill; 8] = [
        |rules, number, _| rules.methods = vec!["GET".into(); number],
        |rules, number, _| rules.paths = vec![PathPattern::everything(); number],
        |rules, number, header| rules.headers = vec![header.clone(); number],
        |rules, number, header| rules.query = vec![header.clone(); number],
        |rules, number, _| rules.request_headers = vec!["x-client".into(); number],
        |rules, number, _| rules.response_headers = vec!["x-served-by".into(); number],
        |rules, number, _| rules.redirect_to = vec![BaseUrl::parse("https://b/").unwrap(); number],
        |rules, number, _| rules.networks = vec!["10.0.0.0/8".parse().unwrap(); number],
    ];
    for fill in lists {
        let filled = |number| {
            let mut rules = rules("https://a/");
            fill(&mut rules, number, &header);
            rules.check()
        };
        filled(64).unwrap();
        assert!(matches!(filled(65), Err(RuleError::TooMany(_))));
    }
    let value = |bytes: usize| Template::parse("x-client", &"a".repeat(bytes));
    value(4_096).unwrap();
    assert_eq!(value(4_097).unwrap_err().code(), "source.rule");
    let text = serde_json::to_string(&rules("https://a/b")).unwrap();
    assert_eq!(serde_json::from_str::<HttpRules>(&text).unwrap(), rules("https://a/b"));
}

#[test]
fn no_path_means_two_places() {
    for good in ["", "a", "a/b.csv", "a/", "v1/series;x=1/EXR,D.USD:EUR@ECB~1"] {
        assert_eq!(check_path(good), Ok(()), "{good}");
    }
    for wrong in [
        "/a",
        "//evil.example/a",
        "a//b",
        "http://evil.example/",
        "..",
        "../a",
        "a/../b",
        ".",
        "a/./b",
        "..;/a",
        "a/..;x=1/b",
        "%2e%2e/a",
        "a%2fb",
        "a%252fb",
        "a\\b",
        "..\\a",
        "a b",
        "a\tb",
        "a\r\nHost: evil",
        "a?b=c",
        "a#b",
        "é",
        "a\u{2215}b",
        "\u{ff0e}\u{ff0e}/a",
        "a\0b",
        &"x".repeat(MAX_PATH_BYTES + 1),
    ] {
        assert!(check_path(wrong).is_err(), "{wrong:?}");
    }
    // Servers may encode what separates nothing.
    assert_eq!(check_encoded_path("a%20b/%C3%A9"), Ok(()));
    for wrong in ["a%2Fb", "%5c", "%2e%2E/a", "a%252f", "%0d%0a", "%", "%4", "%zz", "%3b"] {
        assert!(check_encoded_path(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn patterns_hold_whole_paths() {
    let fits = |pattern: &str, path: &str| PathPattern::parse(pattern).unwrap().matches(path);
    assert!(fits("**", "") && fits("**", "a") && fits("**", "a/b/c"));
    assert!(fits("v1/*", "v1/a") && !fits("v1/*", "v1/a/b") && !fits("v1/*", "v2/a") && fits("v1/*", "v1/"));
    assert!(
        fits("v1/**", "v1/a/b")
            && fits("v1/**/x", "v1/x")
            && fits("v1/**/x", "v1/a/b/x")
            && !fits("v1/**/x", "v1/a")
    );
    assert!(
        fits("*.csv", "a.csv")
            && !fits("*.csv", "a.csvx")
            && !fits("*.csv", "b/a.csv")
            && fits("a*b*c", "abbc")
    );
    assert!(!fits("a*a", "a") && fits("a", "a") && !fits("a", "ab") && !fits("a", "A"));
    for wrong in ["/a", "../*", "a**", "%2e", "a b"] {
        assert!(PathPattern::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn redirects_are_judged_like_requests() {
    let rules = HttpRules {
        paths: vec![PathPattern::parse("data/**").unwrap()],
        redirect_to: vec![BaseUrl::parse("https://cdn.example/files").unwrap()],
        ..rules("https://api.example/v1/")
    };
    let place = |url: &str| rules.place_of(&Url::parse(url).unwrap());
    assert_eq!(place("https://api.example/v1/data/a?x=1"), Some(Place::Own));
    assert_eq!(place("https://api.example:443/v1/data/a"), Some(Place::Own));
    assert_eq!(place("https://cdn.example/files/a%20b"), Some(Place::Other));
    for elsewhere in [
        "http://api.example/v1/data/a",
        "https://api.example:444/v1/data/a",
        "https://api.example/v1/other",
        "https://api.example/v2/data/a",
        "https://api.example/v1/data/../../x",
        "https://api.example/v1/data/%2e%2e/x",
        "https://api.example/v1/data/a%2fb",
        "https://user@api.example/v1/data/a",
        "https://api.example.evil/v1/data/a",
        "https://cdn.example/filesystem/a",
        "https://cdn.example/a",
        "http://169.254.169.254/latest/",
        "ftp://api.example/v1/data/a",
        "data:text/plain,x",
    ] {
        assert_eq!(place(elsewhere), None, "{elsewhere}");
    }
}

#[test]
fn guests_set_and_see_only_harmless_headers() {
    for name in
        ["host", "cookie", "authorization", "x-forwarded-for", "x-http-method-override", "range", "te"]
    {
        assert_eq!(guest_header(name, &[name.to_owned()]), GuestHeader::Never, "{name}");
    }
    assert_eq!(guest_header("accept", &[]), GuestHeader::Allowed);
    assert_eq!(guest_header("x-version", &[]), GuestHeader::NotAllowed);
    assert_eq!(guest_header("x-version", &["X-Version".to_owned()]), GuestHeader::Allowed);
    assert!(
        answer_header("etag", &[])
            && !answer_header("x-total", &[])
            && answer_header("x-total", &["X-Total".into()])
    );
    assert!(!answer_header("set-cookie", &["set-cookie".into()]) && !answer_header("www-authenticate", &[]));
}

proptest! {
    /// Whatever passes means the place that a URL parser sees: below the base, and nowhere else.
    #[test]
    fn a_path_that_passes_stays_below_the_base(path in "[a-z./;%\\\\@:?# *~0-9-]{0,24}") {
        if check_path(&path).is_ok() {
            let base = BaseUrl::parse("https://host/base/").unwrap();
            let text = format!("{base}{path}");
            let url = Url::parse(&text).unwrap();
            prop_assert_eq!(url.as_str(), &text);
            prop_assert_eq!(base.below(&url), Some(path.as_str()));
        }
    }

    #[test]
    fn a_pattern_without_stars_is_a_path(path in "[a-z]{1,3}(/[a-z]{1,3}){0,3}", other in "[a-z]{1,3}(/[a-z]{1,3}){0,3}") {
        let pattern = PathPattern::parse(&path).unwrap();
        prop_assert!(pattern.matches(&path));
        prop_assert_eq!(pattern.matches(&other), path == other);
    }
}

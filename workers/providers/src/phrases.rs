//! What models are told in words, because their protocols have no field for it.

/// How a model is told of keys pressed.
pub(crate) fn pressed(digits: &str) -> String {
    let keys: Vec<String> = digits.chars().map(String::from).collect();
    format!("[The caller pressed on the telephone keypad: {}]", keys.join(" "))
}

/// How a model is made to say something exactly.
pub(crate) fn word_for_word(text: &str) -> String {
    format!(
        "Say exactly the following to the caller, word for word and in the language it is written in, and \
         nothing else:\n\n{text}"
    )
}

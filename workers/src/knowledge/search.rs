//! Looking something up.

use std::collections::BTreeMap;

use sqlx::Row as _;
use uuid::Uuid;
use voice_postgres::{Database, Result, TenantTx};
use voice_schemas::{AgentId, ArticleId, TenantId};

use super::{
    question::{Reading, Stem, best, hunt, meant},
    words::Dictionary,
};

/// More than this nobody can listen to.
pub const MOST: usize = 3;
/// Of a longer question the rest is not looked at.
const LONGEST_QUESTION: usize = 500;

/// A passage that answers a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The article it is from.
    pub article: ArticleId,
    /// The article's title.
    pub title: String,
    /// The passage.
    pub text: String,
}

/// What an AI agent may find: None where it may look up nothing.
///
/// # Errors
/// When the database fails.
pub async fn ask(
    database: &Database,
    tenant: TenantId,
    agent: AgentId,
    question: &str,
) -> Result<Option<Vec<Found>>> {
    let mut tx = database.tenant(tenant).await?;
    let collections = allowed(&mut tx, agent).await?;
    let found = if collections.is_empty() {
        None
    } else {
        Some(search(&mut tx, &collections, question).await?)
    };
    tx.rollback().await?;
    Ok(found)
}

/// The collections an AI agent may look things up in.
///
/// # Errors
/// When the database fails.
pub async fn allowed(tx: &mut TenantTx, agent: AgentId) -> Result<Vec<String>> {
    let sql = "SELECT collection FROM app.knowledge_grants WHERE tenant_id = $1 AND agent_id = $2 ORDER BY 1";
    let names = sqlx::query_scalar(sql)
        .bind(tx.tenant().0)
        .bind(agent.0)
        .fetch_all(&mut **tx)
        .await?;
    Ok(names)
}

/// The passages of these collections that answer the question best; none where nothing does.
///
/// # Errors
/// When the database fails.
pub async fn search(tx: &mut TenantTx, collections: &[String], question: &str) -> Result<Vec<Found>> {
    let question: String = question.chars().take(LONGEST_QUESTION).collect();
    let mut readings = readings(tx, &question).await?;
    let nothing_known = readings
        .iter()
        .all(|reading| reading.stems.iter().all(|stem| stem.passages == 0));
    if !nothing_known {
        readings = best(readings).into_iter().collect();
    }
    correct(tx, &mut readings).await?;
    let chosen = best(readings).and_then(|reading| Some((reading.dictionary, hunt(&reading)?)));
    let Some((dictionary, hunt)) = chosen else {
        return Ok(Vec::new());
    };
    let rows = sqlx::query(
        "SELECT article_id, title, text FROM app.find_knowledge($1, $2, $3::tsquery, $4, $5, $6, $7)",
    )
    .bind(dictionary.as_str())
    .bind(collections)
    .bind(hunt.candidates)
    .bind(hunt.stems)
    .bind(hunt.weights)
    .bind(hunt.least)
    .bind(i32::try_from(MOST).unwrap_or(i32::MAX))
    .fetch_all(&mut **tx)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Found {
                article: ArticleId(row.try_get("article_id")?),
                title: row.try_get("title")?,
                text: row.try_get("text")?,
            })
        })
        .collect()
}

/// The question by every dictionary the tenant has passages in.
async fn readings(tx: &mut TenantTx, question: &str) -> Result<Vec<Reading>> {
    let names: Vec<&str> = Dictionary::ALL
        .iter()
        .map(|dictionary| dictionary.as_str())
        .collect();
    let texts: Vec<String> = Dictionary::ALL
        .iter()
        .map(|dictionary| dictionary.prepare(question))
        .collect();
    let rows: Vec<(String, i32, String, Option<i32>)> = sqlx::query_as(
        "SELECT d.dictionary, n.passages, q.lexeme, w.passages
         FROM unnest($2::text[], $3::text[]) AS d (dictionary, words)
         JOIN app.knowledge_words n ON n.tenant_id = $1 AND n.dictionary = d.dictionary AND n.word = $1::text
         CROSS JOIN LATERAL unnest(app.knowledge_stems(d.dictionary, d.words)) AS q (lexeme, positions, weights)
         LEFT JOIN LATERAL (SELECT w.passages FROM app.knowledge_words w
                            WHERE w.tenant_id = $1 AND w.dictionary = d.dictionary AND w.word = q.lexeme
                            LIMIT 1) AS w ON true",
    )
    .bind(tx.tenant().0)
    .bind(names)
    .bind(texts)
    .fetch_all(&mut **tx)
    .await?;
    let count = |passages: i32| u32::try_from(passages).unwrap_or(0);
    let mut readings: Vec<Reading> = Vec::new();
    for (name, all, word, passages) in rows {
        let Some(dictionary) = Dictionary::ALL.into_iter().find(|one| one.as_str() == name) else {
            continue;
        };
        let stem = Stem {
            word,
            passages: passages.map_or(0, count),
        };
        match readings
            .iter_mut()
            .find(|reading| reading.dictionary == dictionary)
        {
            Some(reading) => reading.stems.push(stem),
            None => readings.push(Reading {
                dictionary,
                stems: vec![stem],
                all: count(all),
            }),
        }
    }
    Ok(readings)
}

/// Takes words that stand nowhere for the ones they are a slip of.
async fn correct(tx: &mut TenantTx, readings: &mut [Reading]) -> Result<()> {
    let (mut names, mut words): (Vec<&str>, Vec<String>) = (Vec::new(), Vec::new());
    for reading in &*readings {
        for stem in reading.stems.iter().filter(|stem| stem.passages == 0) {
            names.push(reading.dictionary.as_str());
            words.push(stem.word.clone());
        }
    }
    if words.is_empty() {
        return Ok(());
    }
    // LIMIT makes the planner ask for each form alone: it takes a tenant's words for few, and would read them all.
    let rows: Vec<(String, String, String, i32)> = sqlx::query_as(
        "SELECT DISTINCT u.dictionary, u.word, s.word, w.passages
         FROM unnest($2::text[], $3::text[]) AS u (dictionary, word)
         CROSS JOIN LATERAL app.knowledge_forms(u.word) AS f (form)
         CROSS JOIN LATERAL (SELECT s.word FROM app.knowledge_spellings s
                             WHERE s.tenant_id = $1 AND s.dictionary = u.dictionary AND s.form = f.form
                             LIMIT 100) AS s
         CROSS JOIN LATERAL (SELECT w.passages FROM app.knowledge_words w
                             WHERE w.tenant_id = $1 AND w.dictionary = u.dictionary AND w.word = s.word
                             LIMIT 1) AS w",
    )
    .bind(tx.tenant().0)
    .bind(names)
    .bind(words)
    .fetch_all(&mut **tx)
    .await?;
    let mut written: BTreeMap<(&str, &str), Vec<(&str, u32)>> = BTreeMap::new();
    for (dictionary, asked, word, passages) in &rows {
        let passages = u32::try_from(*passages).unwrap_or(0);
        written
            .entry((dictionary, asked))
            .or_default()
            .push((word, passages));
    }
    for reading in readings {
        let dictionary = reading.dictionary.as_str();
        for stem in reading.stems.iter_mut().filter(|stem| stem.passages == 0) {
            let Some(near) = written.get(&(dictionary, &*stem.word)) else {
                continue;
            };
            if let Some(word) = meant(&stem.word, near.iter().copied()) {
                let passages = near
                    .iter()
                    .find(|(one, _)| *one == word)
                    .map_or(0, |(_, many)| *many);
                *stem = Stem {
                    word: word.to_owned(),
                    passages,
                };
            }
        }
    }
    Ok(())
}

/// All collections the tenant has articles in, in the role `voice_api`.
///
/// # Errors
/// When the database fails.
pub async fn collections(tx: &mut TenantTx) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT collection FROM app.knowledge_articles WHERE tenant_id = $1 ORDER BY 1";
    let names = sqlx::query_scalar(sql)
        .bind(tx.tenant().0)
        .fetch_all(&mut **tx)
        .await?;
    Ok(names)
}

/// Lets an AI agent look things up in these collections and in no others, in the role `voice_api`.
///
/// # Errors
/// `Constraint` when there is no such agent, or the name of a collection is none.
pub async fn allow(tx: &mut TenantTx, agent: AgentId, collections: &[String]) -> Result<()> {
    let tenant: Uuid = tx.tenant().0;
    sqlx::query("DELETE FROM app.knowledge_grants WHERE tenant_id = $1 AND agent_id = $2")
        .bind(tenant)
        .bind(agent.0)
        .execute(&mut **tx)
        .await?;
    sqlx::query(
        "INSERT INTO app.knowledge_grants (tenant_id, agent_id, collection)
         SELECT DISTINCT $1, $2, name FROM unnest($3::text[]) AS name",
    )
    .bind(tenant)
    .bind(agent.0)
    .bind(collections)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

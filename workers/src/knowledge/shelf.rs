//! Bringing articles in.

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use voice_postgres::{Result, TenantTx};
use voice_schemas::ArticleId;

use super::{passages::passages, words::Dictionary};

const LONGEST_NAME: usize = 200;
const LONGEST_BODY: usize = 200_000;

/// An article.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Article {
    /// What the customer's own system calls it.
    pub reference: String,
    /// Its title.
    pub title: String,
    /// Text or Markdown.
    pub body: String,
    /// The first part of a BCP 47 tag: en, es, cs.
    pub language: String,
}

/// Why an article cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No reference, or a long one.
    #[error("the id must have 1 to 200 characters")]
    Reference,
    /// No title, or a long one.
    #[error("the title must have 1 to 200 characters")]
    Title,
    /// Nothing to say, or a book.
    #[error("the body must have 1 to 200000 characters, and words in it")]
    Body,
    /// No language.
    #[error("the language must be two or three small letters, such as `en`")]
    Language,
    /// The same import has another article of that reference.
    #[error("another article of this import has the same id")]
    Twice,
}

impl Article {
    fn check(&self) -> std::result::Result<(), Fault> {
        let name = |text: &str| {
            !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME && !text.contains('\0')
        };
        if !name(&self.reference) {
            return Err(Fault::Reference);
        }
        if !name(&self.title) {
            return Err(Fault::Title);
        }
        let tag = self.language.as_bytes();
        if !(2..=3).contains(&tag.len()) || !tag.iter().all(u8::is_ascii_lowercase) {
            return Err(Fault::Language);
        }
        let long = self.body.chars().count() > LONGEST_BODY;
        if long || self.body.contains('\0') || !self.body.contains(char::is_alphanumeric) {
            return Err(Fault::Body);
        }
        Ok(())
    }
}

/// What became of an article.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is new.
    Created,
    /// It was another one before.
    Updated,
    /// It is as it was.
    Unchanged,
}

#[derive(Debug)]
struct Kept {
    id: Uuid,
    title: String,
    language: String,
    sha256: Vec<u8>,
    /// This import has it.
    met: bool,
}

/// A collection that articles are brought into, inside a transaction in the role `voice_api`: callers hear all of it
/// once it is committed, or none.
#[derive(Debug)]
pub struct Shelf<'t> {
    tx: &'t mut TenantTx,
    collection: String,
    kept: HashMap<String, Kept>,
    changed: bool,
}

impl<'t> Shelf<'t> {
    /// Opens a collection; imports of one tenant take turns.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(tx: &'t mut TenantTx, collection: &str) -> Result<Self> {
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('knowledge ' || $1::text, 0))")
            .bind(tx.tenant().0)
            .execute(&mut **tx)
            .await?;
        let rows: Vec<(String, Uuid, String, String, Vec<u8>)> = sqlx::query_as(
            "SELECT reference, id, title, language, sha256(convert_to(body, 'UTF8'))
             FROM app.knowledge_articles WHERE tenant_id = $1 AND collection = $2",
        )
        .bind(tx.tenant().0)
        .bind(collection)
        .fetch_all(&mut **tx)
        .await?;
        let kept = rows.into_iter().map(|(reference, id, title, language, sha256)| {
            let kept = Kept {
                id,
                title,
                language,
                sha256,
                met: false,
            };
            (reference, kept)
        });
        Ok(Self {
            kept: kept.collect(),
            tx,
            collection: collection.to_owned(),
            changed: false,
        })
    }

    /// Puts an article in, in place of the one with its reference.
    ///
    /// # Errors
    /// When the database fails. What is wrong with the article is the inner error; nothing was changed then.
    pub async fn put(&mut self, article: &Article) -> Result<std::result::Result<Written, Fault>> {
        if let Err(fault) = article.check() {
            return Ok(Err(fault));
        }
        let sha256 = Sha256::digest(&article.body).to_vec();
        let (id, written) = match self.kept.get_mut(&article.reference) {
            Some(kept) if kept.met => return Ok(Err(Fault::Twice)),
            Some(kept) => {
                kept.met = true;
                let same = kept.title == article.title && kept.language == article.language;
                if same && kept.sha256 == sha256 {
                    return Ok(Ok(Written::Unchanged));
                }
                (kept.id, Written::Updated)
            }
            None => {
                let kept = Kept {
                    id: ArticleId::random().0,
                    title: article.title.clone(),
                    language: article.language.clone(),
                    sha256,
                    met: true,
                };
                let id = kept.id;
                self.kept.insert(article.reference.clone(), kept);
                (id, Written::Created)
            }
        };
        self.write(id, article).await?;
        self.changed = true;
        Ok(Ok(written))
    }

    async fn write(&mut self, id: Uuid, article: &Article) -> Result<()> {
        let tenant = self.tx.tenant().0;
        sqlx::query(
            "INSERT INTO app.knowledge_articles (tenant_id, id, collection, reference, title, body, language)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, id) DO UPDATE
             SET title = excluded.title, body = excluded.body, language = excluded.language",
        )
        .bind(tenant)
        .bind(id)
        .bind(&self.collection)
        .bind(&article.reference)
        .bind(&article.title)
        .bind(&article.body)
        .bind(&article.language)
        .execute(&mut **self.tx)
        .await?;
        sqlx::query("DELETE FROM app.knowledge_passages WHERE tenant_id = $1 AND article_id = $2")
            .bind(tenant)
            .bind(id)
            .execute(&mut **self.tx)
            .await?;
        let dictionary = Dictionary::of(&article.language);
        let texts = passages(&article.body);
        let prepared: Vec<String> = texts.iter().map(|text| dictionary.prepare(text)).collect();
        sqlx::query(
            "INSERT INTO app.knowledge_passages
                 (tenant_id, article_id, number, collection, dictionary, title, text, words)
             SELECT $1, $2, p.number, $3, $4, $5, p.text,
                    setweight(app.knowledge_stems($4, $6), 'A') || setweight(app.knowledge_stems($4, p.prepared), 'B')
                        || array_to_tsvector(ARRAY[$1::text])
             FROM unnest($7::text[], $8::text[]) WITH ORDINALITY AS p (text, prepared, number)",
        )
        .bind(tenant)
        .bind(id)
        .bind(&self.collection)
        .bind(dictionary.as_str())
        .bind(&article.title)
        .bind(dictionary.prepare(&article.title))
        .bind(texts)
        .bind(prepared)
        .execute(&mut **self.tx)
        .await?;
        Ok(())
    }

    /// Takes out what this import did not bring; says how many that were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn prune(&mut self) -> Result<u64> {
        let gone: Vec<Uuid> = self
            .kept
            .values()
            .filter(|kept| !kept.met)
            .map(|kept| kept.id)
            .collect();
        if gone.is_empty() {
            return Ok(0);
        }
        self.changed = true;
        let deleted =
            sqlx::query("DELETE FROM app.knowledge_articles WHERE tenant_id = $1 AND id = ANY ($2)")
                .bind(self.tx.tenant().0)
                .bind(gone)
                .execute(&mut **self.tx)
                .await?;
        Ok(deleted.rows_affected())
    }

    /// Counts the words, without which nothing new is found; the commit is the caller's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn close(self) -> Result<()> {
        if self.changed {
            sqlx::query("SELECT app.count_knowledge_words()")
                .execute(&mut **self.tx)
                .await?;
        }
        Ok(())
    }
}

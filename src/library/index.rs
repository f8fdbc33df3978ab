//! The full-text index: which documents match a text, best first.
//!
//! Lives in memory and is built once per snapshot; the writer with its buffers is gone when building ends.
//! There is no query language: a caller's text is cut into words exactly as the documents were, so no
//! punctuation can be a syntax error, name a field or nest without end.

use std::sync::Arc;

use tantivy::collector::TopDocs;
use tantivy::indexer::NoMergePolicy;
use tantivy::query::{BooleanQuery, BoostQuery, FuzzyTermQuery, Occur, Query, TermQuery};
use tantivy::schema::{FAST, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{TokenStream as _, TokenizerManager};
use tantivy::{IndexReader, IndexWriter, ReloadPolicy, TantivyDocument, Term};

use super::Document;

/// English words without their endings: "refreshing tokens" finds "refresh token".
const TOKENIZER: &str = "en_stem";
/// The writer's buffer, the least that it accepts; given back when the index is built.
const WRITER_BYTES: usize = 15_000_000;
/// A word in the title says three times as much about a document as one in its text.
const TITLE_BOOST: f32 = 3.0;
/// A word in the path says a little more.
const PATH_BOOST: f32 = 1.5;
/// The most words of a query that count, and the most bytes that are looked through for them.
const MAX_WORDS: usize = 32;
const MAX_QUERY_BYTES: usize = 4096;
/// The most results.
const MAX_RESULTS: usize = 50;
/// The fast field with the document's place in the snapshot.
const ORDINAL: &str = "ordinal";

/// An index over one snapshot's documents.
pub(super) struct Index {
    tokenizers: TokenizerManager,
    reader: IndexReader,
    fields: [(Field, f32); 3],
}

impl Index {
    /// Indexes the documents; their places in the slice are the ordinals that [`search`](Self::search) gives.
    pub(super) fn build(documents: &[Arc<Document>]) -> tantivy::Result<Self> {
        let mut schema = Schema::builder();
        let indexed =
            TextFieldIndexing::default().set_tokenizer(TOKENIZER).set_index_option(IndexRecordOption::WithFreqs);
        let words = TextOptions::default().set_indexing_options(indexed);
        let title = schema.add_text_field("title", words.clone());
        let path = schema.add_text_field("path", words.clone());
        let body = schema.add_text_field("body", words);
        let ordinal = schema.add_u64_field(ORDINAL, FAST);

        let index = tantivy::Index::create_in_ram(schema.build());
        let mut writer: IndexWriter = index.writer_with_num_threads(1, WRITER_BYTES)?;
        // Nothing is ever added after the one commit, so merging would only burn time.
        writer.set_merge_policy(Box::new(NoMergePolicy));
        for (place, document) in documents.iter().enumerate() {
            let mut entry = TantivyDocument::new();
            entry.add_text(title, &document.title);
            entry.add_text(path, &document.id);
            entry.add_text(body, &document.text);
            entry.add_u64(ordinal, place as u64);
            writer.add_document(entry)?;
        }
        writer.commit()?;
        writer.wait_merging_threads()?;

        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual).try_into()?;
        Ok(Self {
            tokenizers: index.tokenizers().clone(),
            reader,
            fields: [(title, TITLE_BOOST), (path, PATH_BOOST), (body, 1.0)],
        })
    }

    /// The ordinals of the documents that match best, best first.
    pub(super) fn search(&self, text: &str, limit: usize) -> tantivy::Result<Vec<usize>> {
        let words = self.words(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let limit = limit.clamp(1, MAX_RESULTS);
        let found = self.collect(&self.any_of(&words, false), limit)?;
        // "conf" is the beginning of "configuration" and the stem of nothing: only when no whole word
        // matches, beginnings count.
        if found.is_empty() { self.collect(&self.any_of(&words, true), limit) } else { Ok(found) }
    }

    fn collect(&self, query: &dyn Query, limit: usize) -> tantivy::Result<Vec<usize>> {
        let searcher = self.reader.searcher();
        let best = searcher.search(query, &TopDocs::with_limit(limit).order_by_score())?;
        let mut ordinals = Vec::with_capacity(best.len());
        for (_, address) in best {
            let column = searcher.segment_reader(address.segment_ord).fast_fields().u64(ORDINAL)?;
            ordinals.extend(column.first(address.doc_id).and_then(|place| usize::try_from(place).ok()));
        }
        Ok(ordinals)
    }

    /// The query's words, cut and stemmed like the documents', each once.
    fn words(&self, text: &str) -> Vec<String> {
        let text = text.get(..text.floor_char_boundary(MAX_QUERY_BYTES)).unwrap_or(text);
        let Some(mut tokenizer) = self.tokenizers.get(TOKENIZER) else { return Vec::new() };
        let mut stream = tokenizer.token_stream(text);
        let mut words = Vec::new();
        while words.len() < MAX_WORDS && stream.advance() {
            let word = &stream.token().text;
            if !words.contains(word) {
                words.push(word.clone());
            }
        }
        words
    }

    /// Every word in every field may match; the more do, and the rarer they are, the better.
    fn any_of(&self, words: &[String], beginnings: bool) -> BooleanQuery {
        let clauses = words.iter().flat_map(|word| {
            self.fields.iter().map(move |(field, boost)| {
                let term = Term::from_field_text(*field, word);
                let query: Box<dyn Query> = if beginnings {
                    Box::new(FuzzyTermQuery::new_prefix(term, 0, false))
                } else {
                    Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
                };
                let query: Box<dyn Query> = Box::new(BoostQuery::new(query, *boost));
                (Occur::Should, query)
            })
        });
        BooleanQuery::new(clauses.collect())
    }
}

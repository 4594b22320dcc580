#pragma once

// Turns a JSON schema into a GBNF grammar whose every text is JSON that the schema takes: what
// `response_format`, `text.format`, `format` and gRPC's `OutputFormat` ask for. Pure. What cannot
// be kept is refused by name, never dropped. docs/structured-answers.md has the table; ADR 0105.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::agent {

struct SchemaLimits {
  std::size_t bytes = 128U << 10U;
  std::size_t depth = 48;
  std::size_t rules = 4000;
  std::size_t grammar_bytes = 192U << 10U;
  std::size_t names = 5000;    // properties, and values of enum, altogether
  std::size_t repeats = 4000;  // minLength, maxLength, minItems, maxItems
};

// `schema` is JSON text: properties are written in its order. kInvalidArgument
// "<where>.properties.x: <problem>".
Result<std::string> schema_grammar(std::string_view schema,
                                   std::string_view where,
                                   const SchemaLimits& limits = {});

// Any JSON object.
std::string json_object_grammar();

// A format of answers in both ways in which it is asked for: as a grammar, and as OpenAI's
// `response_format` (JSON text), for servers that take no grammar. Both empty: any text.
struct AnswerFormat {
  std::string grammar;
  std::string response_format;
};
// Errors as those of schema_grammar.
Result<AnswerFormat> schema_format(std::string_view schema, std::string_view where);
AnswerFormat json_object_format();

// The text of the value at `path` of a JSON document, its members in the order in which they were
// written; empty if there is none.
std::string member_text(std::string_view document, const std::vector<std::string_view>& path);

}  // namespace skerry::agent

#include "output_format.hpp"

#include <algorithm>

#include "skerry/agent/json_schema.hpp"
#include "skerry/common/bytes.hpp"

#include "request_fields.hpp"

namespace skerry::agent::fields {
namespace {

constexpr std::uint32_t kMostChoices = 20;
constexpr double kLeastLogProb = -9999;

std::string joined(const std::vector<std::string_view>& path) {
  std::string out;
  for (const std::string_view part : path) {
    out += (out.empty() ? "" : ".") + std::string{part};
  }
  return out;
}

Json::Object choice_json(const TextLogProb::Choice& choice) {
  Json::Array bytes;
  for (const char byte : choice.piece) {
    bytes.emplace_back(static_cast<int>(static_cast<unsigned char>(byte)));
  }
  Json::Object object;
  object.emplace("token", Json{token_text(choice.piece)});
  object.emplace("logprob", Json{written_log_prob(choice.log_prob)});
  object.emplace("bytes", Json{std::move(bytes)});
  return object;
}

}  // namespace

Result<AnswerFormat> read_format(const Json& format, const FormatPlace& place) {
  const std::string where = joined(place.path);
  const std::string type = format.get_string("type").value_or("");
  if (type == "text") {
    return AnswerFormat{};
  }
  if (type == "json_object") {
    return json_object_format();
  }
  if (type != "json_schema") {
    return bad(where + ".type", "must be \"text\", \"json_object\" or \"json_schema\"");
  }
  std::vector<std::string_view> path = place.path;
  path.insert(path.end(), place.schema_path.begin(), place.schema_path.end());
  const std::string schema = member_text(place.document, path);
  if (schema.empty() || schema == "null") {
    return bad(joined(path), "is missing");
  }
  return schema_format(schema, joined(path));
}

Result<void> read_log_probs(const Json& body, std::optional<std::uint32_t>& out) {
  bool asked_for = false;
  std::int64_t top = 0;
  if (Result<void> done = read_flag(body, "logprobs", asked_for); !done) {
    return done;
  }
  if (Result<void> done = read_int(body, "top_logprobs", 0, kMostChoices, top); !done) {
    return done;
  }
  if (top > 0 && !asked_for) {
    return bad("top_logprobs", "needs \"logprobs\": true");
  }
  if (asked_for) {
    out = static_cast<std::uint32_t>(top);
  }
  return {};
}

std::string token_text(std::string_view piece) {
  if (is_utf8(piece)) {
    return std::string{piece};
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "bytes:";
  for (const char c : piece) {
    const auto byte = static_cast<unsigned char>(c);
    out += {'\\', 'x', kDigits[byte >> 4U], kDigits[byte & 0xfU]};
  }
  return out;
}

double written_log_prob(double log_prob) {
  return std::max(log_prob, kLeastLogProb);
}

Json log_probs_json(const std::vector<TextLogProb>& list) {
  Json::Array out;
  for (const TextLogProb& one : list) {
    Json::Array top;
    for (const TextLogProb::Choice& choice : one.top) {
      top.emplace_back(choice_json(choice));
    }
    Json::Object object = choice_json(one.chosen);
    object.emplace("top_logprobs", Json{std::move(top)});
    out.emplace_back(std::move(object));
  }
  return Json{std::move(out)};
}

}  // namespace skerry::agent::fields

#pragma once

// Reading the members of a JSON request body, for every HTTP dialect: absent and null mean the
// same, and what is wrong is named as "<parameter>: <problem>". Private to the agent's parsers.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/text_request.hpp"
#include "skerry/common/json.hpp"

namespace skerry::agent::fields {

// kInvalidArgument "<param>: <problem>".
Error bad(std::string_view param, std::string_view problem);

// The member, or null if it is absent or null.
const Json* given(const Json& body, std::string_view key);
// True unless the member is absent, null, false, "" or an empty array or object.
bool asked(const Json& body, std::string_view key);

// A JSON object; kParse otherwise.
Result<Json> parse_body(std::string_view body, std::size_t max_bytes);

// Each leaves `out` alone if the member is absent. `where` goes before the key in messages.
Result<void> read_number(
    const Json& body, std::string_view key, double low, double high, double& out);
Result<void> read_count(const Json& body, std::string_view key, std::uint32_t& out);
Result<void> read_int(
    const Json& body, std::string_view key, std::int64_t low, std::int64_t high, std::int64_t& out);
Result<void> read_flag(const Json& body, std::string_view key, bool& out);
Result<void> read_text(const Json& body, std::string_view key, std::string& out);
Result<void> read_seed(const Json& body, std::optional<std::uint64_t>& out);
// A string or an array of strings, within TextLimits.
Result<void> read_stop(const Json& body, std::string_view key, std::vector<std::string>& out);
// The member must be there and not empty.
Result<std::string> read_model(const Json& body);

// A string, or parts of which each is {"type": <one of `types`>, "text": …}; joined.
Result<std::string> read_parts(const Json& content,
                               const std::string& where,
                               std::span<const std::string_view> types);

// kInvalidArgument for the first of `keys` that is asked for.
Result<void> refuse(const Json& body, std::span<const std::string_view> keys);

// An array of whole numbers, each a token; kInvalidArgument otherwise.
Result<std::vector<std::int32_t>> read_tokens(const Json& value, const std::string& where);

}  // namespace skerry::agent::fields

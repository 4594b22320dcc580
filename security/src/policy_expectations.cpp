#include "skerry/security/policy_expectations.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include "skerry/common/toml_reader.hpp"

namespace skerry::security {
namespace {

constexpr std::string_view kExpectationsFormat = "skerry-policy-expectations/1";
constexpr std::string_view kNoRule = "none";

// A text of sensible length; the table records an error otherwise.
std::string read_text(TomlTable& row, std::string_view key, bool required) {
  std::string text;
  row.read(key, text);
  if (required && text.empty()) {
    row.fail(key, row.has(key) ? "must not be empty" : "is missing");
  } else if (text.size() > ExpectationLimits::kText) {
    row.fail(key, "has more than 256 characters");
  }
  return text;
}

// "gid:990"
std::optional<std::uint32_t> parse_gid(std::string_view text) {
  constexpr std::string_view kScheme = "gid:";
  if (!text.starts_with(kScheme)) {
    return std::nullopt;
  }
  text.remove_prefix(kScheme.size());
  std::uint32_t gid = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), gid);
  if (text.empty() || ec != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return gid;
}

void read_groups(TomlTable& row, Principal& principal) {
  std::vector<std::string> groups;
  row.read("groups", groups);
  if (groups.size() > ExpectationLimits::kGroups) {
    return row.fail("groups", "has more than 64 entries");
  }
  if (!groups.empty() && principal.kind != Principal::Kind::kUid) {
    return row.fail("groups", "only a uid:<n> is in groups");
  }
  for (const std::string& group : groups) {
    if (group.starts_with("group:") && group.size() > 6 &&
        group.size() <= ExpectationLimits::kText) {
      principal.groups.push_back(group.substr(6));
      continue;
    }
    const auto gid = parse_gid(group);
    if (!gid) {
      return row.fail("groups",
                      "'" + group.substr(0, 64) + "' is neither gid:<n> nor group:<name>");
    }
    principal.gids.push_back(*gid);
  }
}

void read_resource(TomlTable& row, Resource& resource) {
  resource.model = read_text(row, "resource", false);
  if (resource.model.empty()) {
    return;
  }
  if (const std::size_t at = resource.model.find('@'); at != std::string::npos) {
    resource.variant = resource.model.substr(at + 1);
    resource.model.resize(at);
    if (resource.variant.empty()) {
      row.fail("resource", "names no variant after '@'");
    }
  }
  if (std::count(resource.model.begin(), resource.model.end(), '/') != 1 ||
      resource.model.front() == '/' || resource.model.back() == '/') {
    row.fail("resource", "must be team/name or team/name@variant");
  }
}

PolicyExpectation read_row(TomlTable& row) {
  PolicyExpectation expected;
  expected.where = row.where("principal");
  expected.note = read_text(row, "note", false);
  const std::string principal = read_text(row, "principal", true);
  if (auto parsed = parse_principal(principal); parsed) {
    expected.principal = std::move(*parsed);
  } else if (!principal.empty()) {
    row.fail("principal", parsed.error().message());
  }
  read_groups(row, expected.principal);
  const std::string verb = read_text(row, "verb", true);
  if (const auto parsed = parse_verb(verb); parsed) {
    expected.verb = *parsed;
  } else if (!verb.empty()) {
    row.fail("verb", parsed.error().message());
  }
  read_resource(row, expected.resource);
  const std::string decision = read_text(row, "decision", true);
  if (!decision.empty() && decision != "allow" && decision != "deny") {
    row.fail("decision", "must be \"allow\" or \"deny\"");
  }
  expected.allowed = decision == "allow";
  if (const std::string rule = read_text(row, "rule", false); !rule.empty()) {
    expected.rule = rule;
    if (rule == kNoRule && expected.allowed) {
      row.fail("rule", "\"none\" goes with \"deny\": nothing is allowed without a rule");
    }
  }
  return expected;
}

std::string answer(bool allowed) {
  return allowed ? "allow" : "deny";
}

std::string about_miss(const PolicyExpectation& expected, const Decision& decision) {
  if (expected.allowed != decision.allowed) {
    return "expected " + answer(expected.allowed) + ", the policy says " +
           answer(decision.allowed) + ": " + decision.reason;
  }
  return "expected " + answer(expected.allowed) + " by rule " + expected.rule.value_or("") +
         ", decided by " + (decision.rule.empty() ? std::string{kNoRule} : decision.rule) + ": " +
         decision.reason;
}

}  // namespace

std::string PolicyExpectation::question() const {
  std::string text = principal.to_string();
  for (const std::uint32_t gid : principal.gids) {
    text += "+gid:" + std::to_string(gid);
  }
  for (const std::string& group : principal.groups) {
    text += "+group:" + group;
  }
  text += " " + std::string{security::to_string(verb)};
  if (!resource.model.empty()) {
    text += " " + resource.model + (resource.variant.empty() ? "" : "@" + resource.variant);
  }
  return text;
}

Result<std::vector<PolicyExpectation>> parse_expectations(std::string_view text, std::string name) {
  auto reader = TomlReader::parse(text, std::move(name));
  if (!reader) {
    return Error{Error::Code::kParse, reader.error().message()};
  }
  TomlTable root = reader->root();
  std::string format;
  root.read("format", format);
  if (format != kExpectationsFormat) {
    root.fail("format", "must be \"" + std::string{kExpectationsFormat} + "\"");
  }
  std::vector<PolicyExpectation> table;
  std::vector<TomlTable> rows = root.tables("expect");
  if (rows.empty() || rows.size() > ExpectationLimits::kRows) {
    root.fail("expect", "1 to 10000 [[expect]] rows are accepted");
  } else {
    for (TomlTable& row : rows) {
      // What is no table was told already.
      if (row.present()) {
        table.push_back(read_row(row));
      }
    }
  }
  if (auto done = reader->finish(); !done) {
    return Error{Error::Code::kParse, done.error().message()};
  }
  return table;
}

std::vector<ExpectationResult> check_expectations(const Policy& policy,
                                                  const std::vector<PolicyExpectation>& table) {
  std::vector<ExpectationResult> results;
  results.reserve(table.size());
  for (const PolicyExpectation& expected : table) {
    ExpectationResult result;
    result.expected = expected;
    result.decision = policy.decide(expected.principal, expected.verb, expected.resource);
    const std::string rule =
        result.decision.rule.empty() ? std::string{kNoRule} : result.decision.rule;
    result.met =
        result.decision.allowed == expected.allowed && (!expected.rule || *expected.rule == rule);
    if (!result.met) {
      result.miss = about_miss(expected, result.decision);
    }
    results.push_back(std::move(result));
  }
  return results;
}

Json to_json(const std::vector<ExpectationResult>& results) {
  Json::Array rows;
  std::int64_t missed = 0;
  for (const ExpectationResult& result : results) {
    missed += result.met ? 0 : 1;
    Json::Object row;
    row.emplace("where", result.expected.where);
    row.emplace("question", result.expected.question());
    row.emplace("expected", answer(result.expected.allowed));
    if (result.expected.rule) {
      row.emplace("expected_rule", *result.expected.rule);
    }
    if (!result.expected.note.empty()) {
      row.emplace("note", result.expected.note);
    }
    row.emplace("met", result.met);
    row.emplace("decision", result.decision.to_json());
    if (!result.met) {
      row.emplace("miss", result.miss);
    }
    rows.emplace_back(std::move(row));
  }
  Json::Object out;
  out.emplace("rows", static_cast<std::int64_t>(results.size()));
  out.emplace("missed", missed);
  out.emplace("results", std::move(rows));
  return Json{std::move(out)};
}

}  // namespace skerry::security

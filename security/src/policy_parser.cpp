#include <algorithm>
#include <charconv>
#include <set>
#include <type_traits>
#include <utility>

#include "skerry/common/id.hpp"
#include "skerry/security/rbac.hpp"

namespace skerry::security {

namespace {

constexpr std::string_view kFormat = "skerry-policy/1";
constexpr std::size_t kDepth = 8;

Error bad(const std::string& path, const std::string& why) {
  return Error{Error::Code::kPolicyInvalid, path.empty() ? why : path + ": " + why};
}

std::string at(const std::string& path, std::string_view key) {
  return path.empty() ? std::string{key} : path + "." + std::string{key};
}

std::string at(const std::string& path, std::string_view key, std::size_t index) {
  return at(path, key) + "[" + std::to_string(index) + "]";
}

// An object whose members are all known.
Result<void> check_members(const Json& value,
                           const std::string& path,
                           std::initializer_list<std::string_view> known) {
  const Json::Object* object = value.object();
  if (object == nullptr) {
    return bad(path, "expected an object");
  }
  for (const auto& [key, ignored] : *object) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      std::string names;
      for (const std::string_view name : known) {
        names += names.empty() ? "" : ", ";
        names += name;
      }
      return bad(at(path, key), "unknown member; known are " + names);
    }
  }
  return {};
}

Result<const Json::Array*> member_array(const Json& object,
                                        const std::string& path,
                                        std::string_view key,
                                        std::size_t least,
                                        std::size_t most) {
  const Json* value = object.find(key);
  if (value == nullptr) {
    return bad(at(path, key), "missing");
  }
  const Json::Array* array = value->array();
  if (array == nullptr) {
    return bad(at(path, key), "expected an array");
  }
  if (array->size() < least || array->size() > most) {
    return bad(at(path, key),
               "has " + std::to_string(array->size()) + " entries; " + std::to_string(least) +
                   " to " + std::to_string(most) + " are accepted");
  }
  return array;
}

Result<std::string> member_name(const Json& object, const std::string& path, std::string_view key) {
  const Json* value = object.find(key);
  const std::string* text = value == nullptr ? nullptr : value->string();
  if (text == nullptr) {
    return bad(at(path, key), value == nullptr ? "missing" : "expected a string");
  }
  if (auto checked = check_name(*text, key); !checked) {
    return bad(at(path, key), checked.error().message());
  }
  return *text;
}

// "infer", "admin.*", "*".
Result<void> add_verbs(std::string_view pattern, const std::string& path, std::set<Verb>& out) {
  if (pattern == "*") {
    out.insert(all_verbs().begin(), all_verbs().end());
    return {};
  }
  if (pattern.ends_with(".*")) {
    const std::string_view prefix = pattern.substr(0, pattern.size() - 1);
    const std::size_t before = out.size();
    bool found = false;
    for (const Verb verb : all_verbs()) {
      if (to_string(verb).starts_with(prefix)) {
        out.insert(verb);
        found = true;
      }
    }
    if (!found && out.size() == before) {
      return bad(path, "no verb begins with '" + std::string{prefix} + "'");
    }
    return {};
  }
  auto verb = parse_verb(pattern);
  if (!verb) {
    return bad(path, verb.error().message());
  }
  out.insert(*verb);
  return {};
}

Result<std::vector<std::string>> patterns(const Json& rule,
                                          const std::string& path,
                                          std::string_view key) {
  if (rule.find(key) == nullptr) {
    return std::vector<std::string>{"*"};
  }
  auto array = member_array(rule, path, key, 1, PolicyLimits::kPatternsPerRule);
  if (!array) {
    return std::move(array).error();
  }
  std::vector<std::string> out;
  for (std::size_t i = 0; i < (*array)->size(); ++i) {
    const std::string* text = (**array)[i].string();
    const std::string where = at(path, key, i);
    if (text == nullptr || text->empty() || text->size() > PolicyLimits::kPatternLength) {
      return bad(where, "expected a pattern of 1 to 256 characters");
    }
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-/*?";
    if (const std::size_t wrong = text->find_first_not_of(kAllowed); wrong != std::string::npos) {
      return bad(where,
                 "character " + std::to_string(wrong) + " of '" + *text +
                     "' is none of a-z 0-9 . _ - / * ?");
    }
    if (key == "models" && *text != "*" && std::count(text->begin(), text->end(), '/') != 1) {
      return bad(where,
                 "'" + *text + "' is no team/name pattern; use \"team/*\", or \"*\" for all");
    }
    out.push_back(*text);
  }
  return out;
}

Result<PolicyRule> parse_rule(const Json& value, const std::string& path, const std::string& id) {
  if (auto known = check_members(value, path, {"id", "effect", "verbs", "models", "variants"});
      !known) {
    return known.error();
  }
  PolicyRule rule;
  rule.id = id;
  if (value.find("id") != nullptr) {
    auto name = member_name(value, path, "id");
    if (!name) {
      return std::move(name).error();
    }
    rule.id = std::move(*name);
  }
  if (const Json* effect = value.find("effect")) {
    const std::string* text = effect->string();
    if (text == nullptr || (*text != "allow" && *text != "deny")) {
      return bad(at(path, "effect"), "expected \"allow\" or \"deny\"");
    }
    rule.effect = *text == "deny" ? PolicyRule::Effect::kDeny : PolicyRule::Effect::kAllow;
  }
  auto verbs = member_array(value, path, "verbs", 1, PolicyLimits::kPatternsPerRule);
  if (!verbs) {
    return std::move(verbs).error();
  }
  std::set<Verb> verb_set;
  for (std::size_t i = 0; i < (*verbs)->size(); ++i) {
    const std::string* text = (**verbs)[i].string();
    const std::string where = at(path, "verbs", i);
    if (text == nullptr) {
      return bad(where, "expected a string");
    }
    if (auto added = add_verbs(*text, where, verb_set); !added) {
      return added.error();
    }
  }
  rule.verbs.assign(verb_set.begin(), verb_set.end());
  auto models = patterns(value, path, "models");
  if (!models) {
    return std::move(models).error();
  }
  rule.models = std::move(*models);
  auto variants = patterns(value, path, "variants");
  if (!variants) {
    return std::move(variants).error();
  }
  rule.variants = std::move(*variants);
  return rule;
}

// "quota": {"requests_per_minute": 60, "tokens_per_minute": 20000, "concurrent": 2}
Result<PolicyQuota> parse_quota(const Json& value, const std::string& path) {
  if (auto known =
          check_members(value, path, {"requests_per_minute", "tokens_per_minute", "concurrent"});
      !known) {
    return known.error();
  }
  PolicyQuota quota;
  const auto read = [&](std::string_view key, auto& out) -> Result<void> {
    if (value.find(key) == nullptr) {
      return {};
    }
    const auto number = value.get_int(key);
    if (!number || *number < 1 || *number > PolicyLimits::kQuota) {
      return bad(at(path, key), "expected a whole number from 1 to 1000000000");
    }
    out = static_cast<std::remove_reference_t<decltype(out)>>(*number);
    return {};
  };
  for (const auto& result : {read("requests_per_minute", quota.requests_per_minute),
                             read("tokens_per_minute", quota.tokens_per_minute),
                             read("concurrent", quota.concurrent)}) {
    if (!result) {
      return result.error();
    }
  }
  if (quota.empty()) {
    return bad(path, "names no limit; leave it out for none");
  }
  return quota;
}

Result<PolicyRole> parse_role(const Json& value, const std::string& path) {
  if (auto known = check_members(value, path, {"name", "description", "quota", "rules"}); !known) {
    return known.error();
  }
  PolicyRole role;
  if (const Json* quota = value.find("quota")) {
    auto parsed = parse_quota(*quota, at(path, "quota"));
    if (!parsed) {
      return std::move(parsed).error();
    }
    role.quota = *parsed;
  }
  auto name = member_name(value, path, "name");
  if (!name) {
    return std::move(name).error();
  }
  role.name = std::move(*name);
  auto rules = member_array(value, path, "rules", 1, PolicyLimits::kRulesPerRole);
  if (!rules) {
    return std::move(rules).error();
  }
  for (std::size_t i = 0; i < (*rules)->size(); ++i) {
    auto rule = parse_rule(
        (**rules)[i], at(path, "rules", i), role.name + "/rules[" + std::to_string(i) + "]");
    if (!rule) {
      return std::move(rule).error();
    }
    role.rules.push_back(std::move(*rule));
  }
  return role;
}

Result<std::uint32_t> parse_number(std::string_view text, const std::string& path) {
  std::uint32_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc{} || end != text.data() + text.size()) {
    return bad(path, "'" + std::string{text} + "' is no user or group number");
  }
  return number;
}

Result<PolicySubject> parse_subject(const Json& value, const std::string& path) {
  using Kind = PolicySubject::Kind;
  const std::string* text = value.string();
  if (text == nullptr || text->empty() || text->size() > PolicyLimits::kPatternLength) {
    return bad(path, "expected a subject of 1 to 256 characters");
  }
  PolicySubject subject;
  if (*text == "authenticated") {
    subject.kind = Kind::kAuthenticated;
    return subject;
  }
  if (text->starts_with("spiffe://")) {
    subject.kind = Kind::kSpiffe;
    subject.name = *text;
    return subject;
  }
  const std::size_t colon = text->find(':');
  const std::string scheme = text->substr(0, colon);
  const std::string rest = colon == std::string::npos ? std::string{} : text->substr(colon + 1);
  if (rest.empty()) {
    return bad(path,
               "'" + *text +
                   "' is no subject; use uid:<n>, gid:<n>, group:<name>, "
                   "token:<name>, spiffe://…, system:<component> or authenticated");
  }
  if (scheme == "uid" || scheme == "gid") {
    auto number = parse_number(rest, path);
    if (!number) {
      return std::move(number).error();
    }
    subject.kind = scheme == "uid" ? Kind::kUid : Kind::kGid;
    subject.number = *number;
    return subject;
  }
  subject.name = rest;
  if (scheme == "group") {
    subject.kind = Kind::kGroup;
  } else if (scheme == "token") {
    subject.kind = Kind::kToken;
  } else if (scheme == "system") {
    subject.kind = Kind::kSystem;
  } else {
    return bad(path, "unknown kind of subject '" + scheme + "'");
  }
  return subject;
}

Result<PolicyBinding> parse_binding(const Json& value,
                                    const std::string& path,
                                    const std::vector<PolicyRole>& roles) {
  if (auto known = check_members(value, path, {"name", "role", "subjects"}); !known) {
    return known.error();
  }
  PolicyBinding binding;
  auto name = member_name(value, path, "name");
  if (!name) {
    return std::move(name).error();
  }
  binding.name = std::move(*name);
  auto role = member_name(value, path, "role");
  if (!role) {
    return std::move(role).error();
  }
  binding.role = std::move(*role);
  const bool exists = std::any_of(roles.begin(), roles.end(), [&](const PolicyRole& candidate) {
    return candidate.name == binding.role;
  });
  if (!exists) {
    return bad(at(path, "role"), "there is no role '" + binding.role + "'");
  }
  auto subjects = member_array(value, path, "subjects", 1, PolicyLimits::kSubjectsPerBinding);
  if (!subjects) {
    return std::move(subjects).error();
  }
  for (std::size_t i = 0; i < (*subjects)->size(); ++i) {
    auto subject = parse_subject((**subjects)[i], at(path, "subjects", i));
    if (!subject) {
      return std::move(subject).error();
    }
    binding.subjects.push_back(std::move(*subject));
  }
  return binding;
}

template <class T>
Result<void> check_unique(const std::vector<T>& items, std::string_view key) {
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!seen.insert(items[i].name).second) {
      return bad(at({}, key, i) + ".name", "'" + items[i].name + "' is used twice");
    }
  }
  return {};
}

}  // namespace

Result<Policy> Policy::parse(std::string_view document) {
  auto json = Json::parse(document, JsonLimits{PolicyLimits::kBytes, kDepth});
  if (!json) {
    return Error{Error::Code::kPolicyInvalid, json.error().message()};
  }
  if (auto known = check_members(*json, {}, {"format", "version", "roles", "bindings"}); !known) {
    return known.error();
  }
  auto format = json->get_string("format");
  if (!format || *format != kFormat) {
    return bad("format", "expected \"" + std::string{kFormat} + "\"");
  }
  auto version = json->get_int("version");
  if (!version || *version < 1) {
    return bad("version", "expected a whole number from 1 on");
  }
  Policy policy;
  policy.version_ = *version;
  policy.digest_ = Digest::of(document);
  auto roles = member_array(*json, {}, "roles", 0, PolicyLimits::kRoles);
  if (!roles) {
    return std::move(roles).error();
  }
  for (std::size_t i = 0; i < (*roles)->size(); ++i) {
    auto role = parse_role((**roles)[i], at({}, "roles", i));
    if (!role) {
      return std::move(role).error();
    }
    policy.roles_.push_back(std::move(*role));
  }
  if (auto unique = check_unique(policy.roles_, "roles"); !unique) {
    return unique.error();
  }
  auto bindings = member_array(*json, {}, "bindings", 0, PolicyLimits::kBindings);
  if (!bindings) {
    return std::move(bindings).error();
  }
  for (std::size_t i = 0; i < (*bindings)->size(); ++i) {
    auto binding = parse_binding((**bindings)[i], at({}, "bindings", i), policy.roles_);
    if (!binding) {
      return std::move(binding).error();
    }
    policy.bindings_.push_back(std::move(*binding));
  }
  if (auto unique = check_unique(policy.bindings_, "bindings"); !unique) {
    return unique.error();
  }
  return policy;
}

}  // namespace skerry::security

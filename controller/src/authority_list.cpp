#include "authority_list.hpp"

#include <array>
#include <limits>
#include <utility>

#include "skerry/common/json.hpp"

namespace skerry::controller {
namespace {

using security::Certificate;

constexpr std::string_view kAuthoritiesFormat = "skerry-authorities/1";
constexpr std::array kStates{AuthorityState::kIssuing,
                             AuthorityState::kAccepted,
                             AuthorityState::kRetired,
                             AuthorityState::kDistrusted};

Error bad_list(std::string what) {
  return Error{Error::Code::kParse, std::move(what)};
}

Result<AuthorityState> parse_authority_state(const std::string& text) {
  for (const AuthorityState state : kStates) {
    if (to_string(state) == text) {
      return state;
    }
  }
  return bad_list("there is no authority state \"" + text.substr(0, 80) + "\"");
}

Result<AuthorityEntry> parse_authority(const Json& entry) {
  const auto generation = entry.get_int("generation");
  const auto word = entry.get_string("state");
  const auto key = entry.get_string("key");
  const auto pem = entry.get_string("certificate");
  if (!generation || !word || !key || !pem) {
    return bad_list("a member is missing: generation, state, key and certificate are needed");
  }
  if (*generation < 1 || *generation > std::numeric_limits<std::int32_t>::max()) {
    return bad_list("its generation " + std::to_string(*generation) + " is none");
  }
  const auto state = parse_authority_state(*word);
  if (!state) {
    return state.error();
  }
  auto certificate = Certificate::from_pem(*pem);
  if (!certificate) {
    return certificate.error();
  }
  AuthorityEntry out{
      static_cast<std::uint32_t>(*generation), *state, *key, std::move(*certificate), {}};
  if (const auto cross = entry.get_string("cross"); cross && !cross->empty()) {
    auto parsed = Certificate::from_pem(*cross);
    if (!parsed) {
      return parsed.error().with_context("cross");
    }
    out.cross = std::move(*parsed);
  }
  return out;
}

}  // namespace

Result<std::vector<AuthorityEntry>> parse_authorities(std::string_view text) {
  JsonLimits limits;
  limits.bytes = AuthorityListLimits::kBytes;
  const auto json = Json::parse(text, limits);
  if (!json) {
    return json.error();
  }
  const Json* list = json->find("authorities");
  if (json->get_string("format").value_or("") != kAuthoritiesFormat || list == nullptr ||
      !list->is_array()) {
    return bad_list("it is not of format " + std::string{kAuthoritiesFormat});
  }
  const Json::Array& array = *list->array();
  if (array.empty() || array.size() > AuthorityListLimits::kAuthorities) {
    return bad_list("it must have 1 to 256 authorities");
  }
  std::vector<AuthorityEntry> entries;
  for (std::size_t i = 0; i < array.size(); ++i) {
    const std::string place = "authorities[" + std::to_string(i) + "]";
    auto entry = parse_authority(array[i]);
    if (!entry) {
      return entry.error().with_context(place);
    }
    if (!entries.empty() && entry->generation <= entries.back().generation) {
      return bad_list(place + ": its generation must be above that of the one before it");
    }
    if ((entry->state == AuthorityState::kIssuing) != (i + 1 == array.size())) {
      return bad_list(place + ": the newest authority issues, and no other one does");
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

std::string serialise_authorities(const std::vector<AuthorityEntry>& entries) {
  Json::Array list;
  for (const AuthorityEntry& one : entries) {
    Json::Object entry{{"generation", static_cast<std::int64_t>(one.generation)},
                       {"state", std::string{to_string(one.state)}},
                       {"key", one.key_uri},
                       {"certificate", one.certificate.pem()}};
    if (one.cross) {
      entry.emplace("cross", one.cross->pem());
    }
    list.emplace_back(std::move(entry));
  }
  const Json document =
      Json::Object{{"format", std::string{kAuthoritiesFormat}}, {"authorities", std::move(list)}};
  return document.dump_pretty() + "\n";
}

std::string_view to_string(AuthorityState state) noexcept {
  switch (state) {
    case AuthorityState::kIssuing:
      return "issuing";
    case AuthorityState::kAccepted:
      return "accepted";
    case AuthorityState::kRetired:
      return "retired";
    case AuthorityState::kDistrusted:
      break;
  }
  return "distrusted";
}

}  // namespace skerry::controller

#include "skerry/security/principal.hpp"

#include <charconv>
#include <utility>

namespace skerry::security {

Principal Principal::local(std::uint32_t uid, std::vector<std::uint32_t> gids, std::string name) {
  Principal principal;
  principal.kind = Kind::kUid;
  principal.uid = uid;
  principal.gids = std::move(gids);
  principal.name = std::move(name);
  return principal;
}

Principal Principal::token(std::string name, TenantId tenant) {
  Principal principal;
  principal.kind = Kind::kToken;
  principal.name = std::move(name);
  principal.tenant = std::move(tenant);
  return principal;
}

Principal Principal::spiffe(std::string uri, TenantId tenant) {
  Principal principal;
  principal.kind = Kind::kSpiffe;
  principal.name = std::move(uri);
  principal.tenant = std::move(tenant);
  return principal;
}

Principal Principal::system(std::string component) {
  Principal principal;
  principal.kind = Kind::kSystem;
  principal.name = std::move(component);
  return principal;
}

std::string Principal::to_string() const {
  switch (kind) {
    case Kind::kUid:
      return "uid:" + std::to_string(uid);
    case Kind::kToken:
      return "token:" + name;
    case Kind::kSpiffe:
      return name;
    case Kind::kSystem:
      return "system:" + name;
    case Kind::kAnonymous:
      break;
  }
  return "anonymous";
}

Json Principal::to_json() const {
  Json::Object actor;
  actor.emplace("type", std::string{security::to_string(kind)});
  if (!name.empty()) {
    actor.emplace("name", name);
  }
  if (kind == Kind::kUid) {
    actor.emplace("uid", uid);
    Json::Array ids;
    for (const std::uint32_t gid : gids) {
      ids.emplace_back(gid);
    }
    actor.emplace("gids", std::move(ids));
  }
  if (!tenant.empty()) {
    actor.emplace("tenant", tenant.str());
  }
  return Json{std::move(actor)};
}

std::string_view to_string(Principal::Kind kind) noexcept {
  switch (kind) {
    case Principal::Kind::kUid:
      return "uid";
    case Principal::Kind::kToken:
      return "token";
    case Principal::Kind::kSpiffe:
      return "spiffe";
    case Principal::Kind::kSystem:
      return "system";
    case Principal::Kind::kAnonymous:
      break;
  }
  return "anonymous";
}

Result<Principal> parse_principal(std::string_view text) {
  constexpr std::size_t kMaxPrincipal = 256;
  const auto rest = [&text](std::string_view scheme) {
    return text.size() > scheme.size() && text.starts_with(scheme) ? text.substr(scheme.size())
                                                                   : std::string_view{};
  };
  if (text.size() <= kMaxPrincipal) {
    if (text == "anonymous") {
      return Principal{};
    }
    if (const std::string_view digits = rest("uid:"); !digits.empty()) {
      std::uint32_t uid = 0;
      const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), uid);
      if (ec == std::errc{} && end == digits.data() + digits.size()) {
        return Principal::local(uid, {});
      }
    }
    if (const std::string_view name = rest("token:"); !name.empty()) {
      return Principal::token(std::string{name});
    }
    if (!rest("spiffe://").empty()) {
      return Principal::spiffe(std::string{text});
    }
    if (const std::string_view name = rest("system:"); !name.empty()) {
      return Principal::system(std::string{name});
    }
  }
  return Error{Error::Code::kInvalidArgument,
               "'" + std::string{text.substr(0, kMaxPrincipal)} +
                   "' is no subject: uid:1000, token:NAME, spiffe://…, system:NAME or anonymous"};
}

}  // namespace skerry::security

// Who signs for what: rotation and revocation of keys, delegations.

#include <algorithm>
#include <set>
#include <utility>

#include "skerry/security/tuf/delegation.hpp"
#include "skerry/security/tuf/repository.hpp"

#include "repository_json.hpp"

namespace skerry::security::tuf {

namespace {

Error no_role(const RoleName& role) {
  return Error{
      Error::Code::kNotFound,
      "there is no role '" + role.text() +
          "': root, targets, snapshot, timestamp, or a delegated one (skerry repo status)"};
}

// Edits "keyids" and "threshold" of a role and puts new keys into `keys`.
Result<void> edit_role_keys(Json::Object& entry,
                            Json::Object& keys,
                            const RoleName& role,
                            const KeyChange& change) {
  Json::Array* keyids = entry["keyids"].array();
  if (keyids == nullptr) {
    return Error{Error::Code::kParse, "role " + role.text() + " has no keyids"};
  }
  for (const std::string& keyid : change.remove) {
    const auto listed = std::find(keyids->begin(), keyids->end(), Json{keyid});
    if (listed == keyids->end()) {
      return Error{Error::Code::kNotFound,
                   "key " + keyid.substr(0, 16) + " does not sign for " + role.text()};
    }
    keyids->erase(listed);
  }
  for (const PublicKey& key : change.add) {
    const Json keyid{key.key_id()};
    if (std::find(keyids->begin(), keyids->end(), keyid) != keyids->end()) {
      return Error{Error::Code::kAlreadyExists,
                   "key " + key.key_id().substr(0, 16) + " signs for " + role.text() + " already"};
    }
    keyids->push_back(keyid);
    keys.insert_or_assign(key.key_id(), key.to_tuf_json());
  }
  if (change.threshold) {
    entry["threshold"] = Json{*change.threshold};
  }
  const auto threshold = entry["threshold"].as_int();
  const auto count = static_cast<std::int64_t>(keyids->size());
  if (!threshold || *threshold < 1 || *threshold > count) {
    return Error{Error::Code::kInvalidArgument,
                 "role " + role.text() + " would have " + std::to_string(count) +
                     " keys and a threshold of " + std::to_string(threshold ? *threshold : 0) +
                     "; add keys or give another threshold"};
  }
  const bool online = role == Role::kSnapshot || role == Role::kTimestamp;
  if (online && *threshold != 1) {
    return Error{Error::Code::kInvalidArgument,
                 "role " + role.text() + " is signed by one online key: its threshold is 1"};
  }
  return {};
}

// Drops keys that no role lists any more.
void prune_keys(Json::Object& keys, const std::vector<const Json*>& roles) {
  std::set<std::string> used;
  for (const Json* role : roles) {
    const auto keyids = role->get_array("keyids");
    if (!keyids) {
      continue;
    }
    for (const Json& keyid : *(*keyids)->array()) {
      if (const std::string* text = keyid.string()) {
        used.insert(*text);
      }
    }
  }
  std::erase_if(keys, [&](const auto& key) { return !used.contains(key.first); });
}

Result<void> edit_root(Json::Object& root, const RoleName& role, const KeyChange& change) {
  Json::Object* keys = root["keys"].object();
  Json::Object* roles = root["roles"].object();
  if (keys == nullptr || roles == nullptr || (*roles)[role.text()].object() == nullptr) {
    return Error{Error::Code::kParse, "the root has no role " + role.text()};
  }
  if (auto edited = edit_role_keys(*(*roles)[role.text()].object(), *keys, role, change); !edited) {
    return edited;
  }
  std::vector<const Json*> all;
  for (const auto& [name, entry] : *roles) {
    all.push_back(&entry);
  }
  prune_keys(*keys, all);
  return {};
}

// The parts of "delegations", made if there are none.
struct DelegationParts {
  Json::Object* keys = nullptr;
  Json::Array* roles = nullptr;

  [[nodiscard]] Json::Array::iterator find(const RoleName& role) const {
    return std::find_if(roles->begin(), roles->end(), [&](const Json& entry) {
      const auto name = entry.get_string("name");
      return name && *name == role.text();
    });
  }
  void prune() const {
    std::vector<const Json*> all;
    for (const Json& entry : *roles) {
      all.push_back(&entry);
    }
    prune_keys(*keys, all);
  }
};

Result<DelegationParts> delegation_parts(Json::Object& targets) {
  Json& delegations = targets["delegations"];
  if (delegations.is_null()) {
    delegations = Json::Object{{"keys", Json::Object{}}, {"roles", Json::Array{}}};
  }
  DelegationParts parts;
  if (delegations.object() != nullptr) {
    parts.keys = (*delegations.object())["keys"].object();
    parts.roles = (*delegations.object())["roles"].array();
  }
  if (parts.keys == nullptr || parts.roles == nullptr) {
    return Error{Error::Code::kUnimplemented,
                 "these targets delegate in another form (succinct roles) than by a list of roles"};
  }
  return parts;
}

}  // namespace

Result<Delegations> Repository::delegations() const {
  auto bytes = load_staged(Role::kTargets);
  if (bytes && !*bytes) {
    bytes = load_published(Role::kTargets);
  }
  if (!bytes) {
    return std::move(bytes).error();
  }
  if (!*bytes) {
    return Delegations{};
  }
  auto targets = parse_targets(**bytes);
  if (!targets) {
    return std::move(targets).error();
  }
  return targets->content.delegations ? std::move(*targets->content.delegations) : Delegations{};
}

Result<std::vector<RoleName>> Repository::offline_roles() const {
  auto delegated = delegations();
  if (!delegated) {
    return std::move(delegated).error();
  }
  std::vector<RoleName> out{Role::kRoot, Role::kTargets};
  for (const DelegatedRole& role : delegated->roles) {
    out.emplace_back(role.name);
  }
  return out;
}

Result<Signers> Repository::signers_for(const RoleName& role) const {
  if (const auto top = parse_role(role.text())) {
    auto root = governing_root();
    if (!root) {
      return std::move(root).error();
    }
    return signers_of(root->content, *top);
  }
  auto delegated = delegations();
  if (!delegated) {
    return std::move(delegated).error();
  }
  auto signers = signers_of(*delegated, role);
  if (!signers) {
    return no_role(role);
  }
  return std::move(*signers);
}

Result<void> Repository::check_covers(const RoleName& role, std::string_view path) const {
  if (!role.is_delegated()) {
    return {};
  }
  const auto delegated = delegations();
  if (!delegated) {
    return delegated.error();
  }
  for (const DelegatedRole& one : delegated->roles) {
    if (one.name == role.text()) {
      return covers(one, path) ? Result<void>{}
                               : Error{Error::Code::kPermissionDenied,
                                       "role " + role.text() + " is not trusted with " +
                                           std::string{path} + ": devices would not find it"};
    }
  }
  return no_role(role);
}

Result<void> Repository::restage_unless_signed(const RoleName& role,
                                               const RepositoryLifetimes& lifetimes,
                                               WallTime now) {
  auto waiting = load_staged(role);
  auto published = load_published(role);
  auto signers = signers_for(role);
  if (!waiting || !published || !signers) {
    return !waiting ? waiting.error() : !published ? published.error() : signers.error();
  }
  if (*waiting || !*published) {
    return {};
  }
  const auto file = parse_any(role, **published);
  if (!file) {
    return file.error();
  }
  return check_threshold(*file, *signers, role) ? Result<void>{} : renew(role, lifetimes, now);
}

Result<void> Repository::change_keys(const RoleName& role,
                                     const KeyChange& change,
                                     const RepositoryLifetimes& lifetimes,
                                     WallTime now) {
  const RoleName holder = role.is_delegated() ? Role::kTargets : Role::kRoot;
  auto signed_part = next_signed(holder, lifetimes, now);
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  if (role.is_delegated()) {
    const auto parts = delegation_parts(*signed_part->object());
    if (!parts) {
      return parts.error();
    }
    const auto entry = parts->find(role);
    if (entry == parts->roles->end()) {
      return no_role(role);
    }
    if (auto edited = edit_role_keys(*entry->object(), *parts->keys, role, change); !edited) {
      return edited;
    }
    parts->prune();
  } else if (auto edited = edit_root(*signed_part->object(), role, change); !edited) {
    return edited;
  }
  if (auto staged = stage(holder, std::move(*signed_part)); !staged) {
    return staged;
  }
  // Snapshot and timestamp are made anew with the next publication; the root is what was staged.
  return role.is_delegated() || role == Role::kTargets ? restage_unless_signed(role, lifetimes, now)
                                                       : Result<void>{};
}

Result<std::vector<RoleName>> Repository::revoke_key(std::string_view keyid,
                                                     const RepositoryLifetimes& lifetimes,
                                                     WallTime now) {
  auto roles = offline_roles();
  if (!roles) {
    return roles;
  }
  roles->emplace_back(Role::kSnapshot);
  roles->emplace_back(Role::kTimestamp);
  std::vector<RoleName> holding;
  for (const RoleName& role : *roles) {
    auto signers = signers_for(role);
    if (!signers) {
      return std::move(signers).error();
    }
    const auto& keyids = signers->keys.keyids;
    if (std::find(keyids.begin(), keyids.end(), keyid) == keyids.end()) {
      continue;
    }
    // All or nothing: what one role cannot spare is said before another one is changed.
    if (static_cast<std::int64_t>(keyids.size()) <= signers->keys.threshold) {
      return Error{Error::Code::kInvalidArgument,
                   "role " + role.text() + " needs all of its " + std::to_string(keyids.size()) +
                       " keys: replace this one there first (skerry repo rotate --role " +
                       role.text() + ")"};
    }
    holding.push_back(role);
  }
  if (holding.empty()) {
    return Error{
        Error::Code::kNotFound,
        "no role lists key " + std::string{keyid.substr(0, 16)} + " (skerry repo status --json)"};
  }
  for (const RoleName& role : holding) {
    if (auto changed = change_keys(role, KeyChange{{}, {std::string{keyid}}, {}}, lifetimes, now);
        !changed) {
      return changed.error();
    }
  }
  return holding;
}

Result<void> Repository::delegate(const DelegationSetup& setup,
                                  const RepositoryLifetimes& lifetimes,
                                  WallTime now) {
  if (parse_role(setup.name)) {
    return Error{Error::Code::kInvalidArgument,
                 "'" + setup.name + "' is a top-level role; choose another name"};
  }
  const RoleName role{setup.name};
  auto signed_part = next_signed(Role::kTargets, lifetimes, now);
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  const auto parts = delegation_parts(*signed_part->object());
  if (!parts) {
    return parts.error();
  }
  if (parts->find(role) != parts->roles->end()) {
    return Error{Error::Code::kAlreadyExists,
                 "there is a delegation to '" + setup.name +
                     "' already; change its keys with skerry repo rotate"};
  }
  auto entry = encode_role(setup.keys, role, *parts->keys);
  if (!entry) {
    return std::move(entry).error();
  }
  Json::Array paths;
  for (const std::string& path : setup.paths) {
    paths.emplace_back(path);
  }
  if (paths.empty()) {
    return Error{Error::Code::kInvalidArgument,
                 "a delegation needs paths, as models/<team>/*/* for a team's models"};
  }
  Json::Object& delegated = *entry->object();
  delegated.emplace("name", setup.name);
  delegated.emplace("terminating", setup.terminating);
  delegated.emplace("paths", std::move(paths));
  parts->roles->push_back(std::move(*entry));
  if (auto staged = stage(Role::kTargets, std::move(*signed_part)); !staged) {
    return staged;
  }
  // A role that was revoked and is trusted again goes on from its last version.
  const auto latest = latest_version(role);
  if (!latest) {
    return latest.error();
  }
  if (*latest > 0) {
    return renew(role, lifetimes, now);
  }
  Json::Object targets = common_fields(Role::kTargets, 1, now + lifetimes.targets, now);
  targets.emplace("targets", Json::Object{});
  return stage(role, Json{std::move(targets)});
}

Result<void> Repository::revoke_delegation(const RoleName& role,
                                           const RepositoryLifetimes& lifetimes,
                                           WallTime now) {
  auto signed_part = next_signed(Role::kTargets, lifetimes, now);
  if (!signed_part) {
    return std::move(signed_part).error();
  }
  const auto parts = delegation_parts(*signed_part->object());
  if (!parts) {
    return parts.error();
  }
  const auto entry = parts->find(role);
  if (entry == parts->roles->end()) {
    return no_role(role);
  }
  parts->roles->erase(entry);
  parts->prune();
  if (auto staged = stage(Role::kTargets, std::move(*signed_part)); !staged) {
    return staged;
  }
  const auto waiting = load_staged(role);
  return waiting && *waiting ? discard(role) : Result<void>{};
}

}  // namespace skerry::security::tuf

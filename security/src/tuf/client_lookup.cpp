// TUF 5.6.7: the search for a target through the delegations.

#include <set>
#include <utility>

#include "skerry/security/tuf/client.hpp"
#include "skerry/security/tuf/delegation.hpp"

#include "served_file.hpp"

namespace skerry::security::tuf {

namespace {

// A delegation to be followed. `by` lives in a role that the search holds.
struct PendingVisit {
  const Delegations* by = nullptr;
  DelegatedRole role;
  std::uint32_t depth = 0;
};

// Puts what `delegations` say of `path` on the stack, to be visited in order of appearance.
void push_delegations(const std::optional<Delegations>& delegations,
                      std::string_view path,
                      std::uint32_t depth,
                      std::vector<PendingVisit>& stack) {
  if (!delegations) {
    return;
  }
  auto roles = delegations_for(*delegations, path);
  // TUF 5.6.7.2.1: behind a terminating delegation nothing else is searched, here and further up.
  if (!roles.empty() && roles.back().terminating) {
    stack.clear();
  }
  for (auto role = roles.rbegin(); role != roles.rend(); ++role) {
    stack.push_back(PendingVisit{&*delegations, std::move(*role), depth});
  }
}

}  // namespace

Result<DelegatedTargets> Client::load_delegated(const Delegations& by, const DelegatedRole& role) {
  const RoleName name{role.name};
  // A stored file counts if this very delegation vouches for it; otherwise it is fetched anew.
  if (const auto stored = store_.load(name); stored && *stored) {
    if (auto verified = trusted_->verify_delegated(by, role, **stored)) {
      return verified;
    }
  }
  const MetaFile* meta = trusted_->meta_of(name);
  if (meta == nullptr) {
    return Error{Error::Code::kMetadataMismatch,
                 "the snapshot does not list the delegated role '" + role.name + "'"};
  }
  auto bytes = fetcher_.fetch(served_name(trusted_->root().content, name, meta->version),
                              limit_of(Role::kTargets, *meta));
  if (!bytes) {
    return bytes.error().with_context("fetching the delegated role '" + role.name + "'");
  }
  auto verified = trusted_->verify_delegated(by, role, *bytes);
  if (!verified) {
    return verified;
  }
  if (auto kept = keep(name, (*verified)->content.version, (*verified)->bytes); !kept) {
    return kept.error();
  }
  return verified;
}

Result<DelegatedTargets> Client::load_role(std::string_view name, std::string_view path) {
  const Targets* top = targets();
  if (top == nullptr) {
    return Error{Error::Code::kFailedPrecondition, "refresh or load the metadata first"};
  }
  if (top->delegations) {
    for (const DelegatedRole& role : top->delegations->roles) {
      if (role.name == name && covers(role, path)) {
        return load_delegated(*top->delegations, role);
      }
    }
  }
  return Error{Error::Code::kMetadataMismatch,
               "the targets delegate no path like " + std::string{path} + " to a role '" +
                   std::string{name} + "'"};
}

Result<FoundTarget> Client::lookup(std::string_view path) {
  const Targets* top = targets();
  if (top == nullptr) {
    return Error{Error::Code::kFailedPrecondition, "refresh or load the metadata first"};
  }
  if (auto checked = check_target_path(path); !checked) {
    return checked.error();
  }
  if (const TargetFile* file = find_target(path)) {
    return FoundTarget{*file, Role::kTargets, top->version, {}};
  }
  std::vector<PendingVisit> stack;
  std::vector<DelegatedTargets> held;
  std::set<std::string> visited;
  push_delegations(top->delegations, path, 1, stack);
  while (!stack.empty()) {
    const PendingVisit visit = std::move(stack.back());
    stack.pop_back();
    // TUF 5.6.7.1: a role is visited once, so that a cycle of delegations ends.
    if (visited.contains(visit.role.name)) {
      continue;
    }
    if (visited.size() >= options_.max_delegated_roles ||
        visit.depth > options_.max_delegation_depth) {
      return Error{Error::Code::kTooLarge,
                   "the search for '" + std::string{path} + "' stopped at the role '" +
                       visit.role.name + "': more than " +
                       std::to_string(options_.max_delegated_roles) + " roles or " +
                       std::to_string(options_.max_delegation_depth) + " levels of delegation"};
    }
    auto role = load_delegated(*visit.by, visit.role);
    if (!role) {
      // TUF 5.6.7: what cannot be fetched or verified ends the search; looking further could find
      // a target that this role overrides.
      return role.error().with_context("looking for " + std::string{path});
    }
    visited.insert(visit.role.name);
    const Targets& content = (*role)->content;
    if (const auto found = content.targets.find(path); found != content.targets.end()) {
      return FoundTarget{found->second,
                         RoleName{visit.role.name},
                         content.version,
                         first_stray(visit.role, content)};
    }
    push_delegations(content.delegations, path, visit.depth + 1, stack);
    held.push_back(std::move(*role));
  }
  return Error{Error::Code::kNotFound,
               "no role of the repository lists the target " + std::string{path}};
}

}  // namespace skerry::security::tuf

#include "skerry/security/tuf/delegation_walk.hpp"

#include <algorithm>
#include <utility>

#include "skerry/security/tuf/delegation.hpp"

namespace skerry::security::tuf {

namespace {

constexpr std::size_t kMaxWalked = MetadataLimits::kDelegations;
constexpr std::size_t kMaxDepth = 16;

class DelegationWalk {
 public:
  DelegationWalk(TrustedSet& set, const RoleFiles& files) : set_(set), files_(files) {}

  Result<void> visit(const Delegations& by) {
    if (by.succinct) {
      return Error{Error::Code::kInvalidArgument,
                   "delegations to hash bins are not published here: delegate by path"};
    }
    if (way_.size() >= kMaxDepth) {
      return Error{Error::Code::kTooLarge, "more than 16 levels of delegations"};
    }
    for (const DelegatedRole& role : by.roles) {
      if (auto done = follow(by, role); !done) {
        return done;
      }
    }
    return {};
  }
  std::vector<WalkedRole> take() { return std::move(walked_); }

 private:
  Result<void> follow(const Delegations& by, const DelegatedRole& role) {
    // TUF 5.6.7.1: a role is visited once in a search, so a way that comes back to it ends here.
    if (std::any_of(
            way_.begin(), way_.end(), [&](const auto& one) { return one.name == role.name; })) {
      return {};
    }
    if (walked_.size() >= kMaxWalked) {
      return Error{Error::Code::kTooLarge,
                   "more than " + std::to_string(kMaxWalked) + " delegations"};
    }
    walked_.push_back(WalkedRole{RoleName{role.name}, verify(by, role)});
    const Result<DelegatedTargets>& file = walked_.back().file;
    if (!file || !(*file)->content.delegations) {
      return {};
    }
    // Its own reference: the list grows below.
    const DelegatedTargets held = *file;
    way_.push_back(role);
    auto done = visit(*held->content.delegations);
    way_.pop_back();
    return done;
  }

  Result<DelegatedTargets> verify(const Delegations& by, const DelegatedRole& role) {
    const auto bytes = files_(RoleName{role.name});
    if (!bytes) {
      return Error{Error::Code::kFailedPrecondition,
                   "there is no metadata of the role '" + role.name +
                       "' that the list delegates to: publish it with the delegation"};
    }
    auto verified = set_.verify_delegated(by, role, *bytes);
    if (!verified) {
      return verified;
    }
    way_.push_back(role);
    std::string stray;
    for (const DelegatedRole& hop : way_) {
      stray = stray.empty() ? first_stray(hop, (*verified)->content) : stray;
    }
    way_.pop_back();
    if (!stray.empty()) {
      return Error{Error::Code::kPermissionDenied,
                   "the role '" + role.name + "' lists " + stray +
                       ", which the delegation does not give to it"};
    }
    return verified;
  }

  TrustedSet& set_;
  const RoleFiles& files_;
  // The delegations that led here.
  std::vector<DelegatedRole> way_;
  std::vector<WalkedRole> walked_;
};

}  // namespace

Result<std::vector<WalkedRole>> walk_delegations(TrustedSet& set, const RoleFiles& files) {
  DelegationWalk walk{set, files};
  const Envelope<Targets>* top = set.targets();
  if (top == nullptr) {
    return Error{Error::Code::kFailedPrecondition, "there are no verified targets to walk from"};
  }
  if (top->content.delegations) {
    const Delegations first = *top->content.delegations;
    if (auto done = walk.visit(first); !done) {
      return done.error();
    }
  }
  return walk.take();
}

}  // namespace skerry::security::tuf

// What the two repositories say: the image repository's targets, and whether the director agrees.

#include <algorithm>
#include <utility>

#include "skerry/agent/installer.hpp"

namespace skerry::agent {

Result<void> Installer::persist_time_floor() {
  const auto floor = time_.floor().time_since_epoch().count();
  Result<std::uint64_t> raised =
      catalogue_.raise_floor(kTimeFloor, static_cast<std::uint64_t>(std::max<long>(floor, 0)));
  return raised ? Result<void>{} : raised.error().with_context("time floor");
}

Result<void> Installer::bootstrap_trust(std::string_view root) {
  class NoFetcher final : public security::tuf::Fetcher {
    Result<std::string> fetch(std::string_view name, std::size_t) override {
      return Error{Error::Code::kUnavailable, "no source for " + std::string{name}};
    }
  };
  const std::lock_guard lock{trust_};
  NoFetcher fetcher;
  security::tuf::Client client{*metadata_, fetcher};
  return client.bootstrap(root);
}

Result<security::tuf::RefreshOutcome> Installer::refresh_metadata(ModelSource& source) {
  const std::lock_guard lock{trust_};
  security::tuf::Client client{*metadata_, source.metadata()};
  Result<security::tuf::RefreshOutcome> outcome = client.refresh(time_.now());
  if (outcome && outcome->issued && time_.issued(*outcome->issued)) {
    if (Result<void> persisted = persist_time_floor(); !persisted) {
      return persisted.error();
    }
  }
  return outcome;
}

Result<security::tuf::FoundTarget> Installer::find_target(const std::string& path,
                                                          ModelSource& source) {
  Result<security::tuf::RefreshOutcome> refreshed = refresh_trust(source);
  const std::lock_guard lock{trust_};
  security::tuf::Client client{*metadata_, source.metadata()};
  if (Result<void> loaded = client.load(time_.now()); !loaded) {
    return refreshed ? loaded.error() : refreshed.error();
  }
  Result<security::tuf::FoundTarget> found = client.lookup(path);
  if (!found) {
    // What was refused may be why it is not there; the network may bring it.
    if (!refreshed) {
      return refreshed.error().with_context("trust");
    }
    return found.error().with_context("the image repository");
  }
  if (!found->stray.empty()) {
    return Error{Error::Code::kPermissionDenied,
                 "the image repository's role '" + found->role.text() + "' also lists " +
                     found->stray +
                     ", which is not its own; nothing of the role is installed until its list is "
                     "signed without it"};
  }
  if (!refreshed) {
    core_.log.warning("trust.refresh_failed", refreshed.error());
  }
  return found;
}

Result<void> Installer::check_directed(const activation::Offer& offer,
                                       const std::string& slot,
                                       const security::tuf::TargetFile& image) {
  const Result<bool> pinned = director_.pinned();
  if (!pinned || !*pinned) {
    return pinned ? Result<void>{} : pinned.error();
  }
  const Result<security::tuf::Assignment> directed = director_.assignment(slot);
  if (!directed) {
    return directed.error();
  }
  if (directed->generation != offer.generation || directed->target != offer.target) {
    return Error{Error::Code::kMetadataMismatch,
                 "the director's last word on slot " + slot + " is generation " +
                     std::to_string(directed->generation) + " of \"" + directed->target +
                     "\", not generation " + std::to_string(offer.generation) + " of \"" +
                     offer.target + "\""};
  }
  if (directed->not_after && time_.now().now > *directed->not_after) {
    return Error{Error::Code::kMetadataExpired,
                 "the director's assignment of " + offer.target + " ended " +
                     to_rfc3339(*directed->not_after)};
  }
  Result<registry::DeviceProfile> machine = profile();
  if (!machine) {
    return machine.error();
  }
  return security::tuf::check_agreement(*directed, offer.target, image, machine->arch);
}

}  // namespace skerry::agent

#pragma once

// The blocking half of an activation: verify a target by TUF, choose the variant, fetch, check the
// files' structure. `SlotManager` calls it on a transfer thread between the machine's states; it
// keeps no state of its own.

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "skerry/agent/activation.hpp"
#include "skerry/agent/blob_sources.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/delta_choice.hpp"
#include "skerry/agent/device_time.hpp"
#include "skerry/agent/director_client.hpp"
#include "skerry/agent/model_source.hpp"
#include "skerry/agent/security_targets.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"
#include "skerry/registry/fetcher.hpp"
#include "skerry/registry/variant_choice.hpp"
#include "skerry/runtime/supervisor.hpp"
#include "skerry/security/trusted_time.hpp"

namespace skerry::agent {

struct Preflight {
  std::shared_ptr<const registry::VerifiedManifest> manifest;
  std::string variant;
  std::vector<std::string> reasons;
  // The slot runs this very variant already.
  bool already_active = false;
};

// The catalogue's name for the time floor, in milliseconds since 1970.
inline constexpr std::string_view kTimeFloor = "time";

class Installer {
 public:
  // `memory` is the ledger that variants are measured against.
  Installer(Core& core,
            registry::Catalogue& catalogue,
            registry::BlobStore& store,
            DeviceTime& time,
            std::uint64_t memory);

  // What refreshes bring up to date and what may be installed is asked of; none in some tests.
  void set_security(SecurityTargets* security) { security_ = security; }
  [[nodiscard]] SecurityTargets* security_targets() { return security_; }
  // Whether the revocations, the counters and the dates let the request be activated now. A signed
  // permit that is needed for it is used up and noted in it. Blocks.
  Result<void> permit(registry::ActivationRequest& request);
  // Where blobs come from besides the source of an offer, and how; it must outlive the installer.
  void use_sources(const BlobSources& sources) { sources_ = &sources; }

  // Lets variants be derived on this machine, by workers started like this; not without it.
  void use_quantizer(runtime::SupervisorOptions options) { quantizer_ = std::move(options); }

  // Trusts `root` as the image repository's first root if nothing is trusted yet.
  Result<void> bootstrap_trust(std::string_view root);
  // Refreshes the image repository's metadata from `source`, then what the `security` role signs.
  Result<security::tuf::RefreshOutcome> refresh_trust(ModelSource& source);

  // Refreshes the image repository and finds a target in it, through the delegations. What was
  // verified before counts while the source is away. kNotFound if no role that may list it does;
  // kPermissionDenied if the role that does also lists paths of others.
  Result<security::tuf::FoundTarget> find_target(const std::string& path, ModelSource& source);

  // Refreshes trust, finds and verifies the offered target, asks whether the director agrees,
  // fetches the manifest, records it, chooses the variant, apart from those that `failed` for this
  // offer or are known bad here. kUnavailable: ask again later; anything else is final;
  // kQuarantined if what would fit is bad.
  Result<Preflight> preflight(const activation::Offer& offer,
                              const std::string& slot,
                              const std::vector<std::string>& failed,
                              ModelSource& source,
                              const registry::CancelFlag& cancel);

  // The same for an imported model, without a source (installer_local.cpp): whoever may vouch did.
  // kNotFound, kFailedPrecondition; anything else as `preflight`.
  Result<Preflight> preflight_local(const activation::Offer& offer,
                                    const std::string& slot,
                                    const std::vector<std::string>& failed);
  // Asked before an imported model is activated or returned to; set once, before the first offer.
  // It blocks.
  using CheckVouched = std::function<Result<void>(const Digest& manifest)>;
  void on_check_vouched(CheckVouched check) { check_vouched_ = std::move(check); }
  // Whether somebody who counts vouches for it now; always, if it was not imported. Blocks.
  [[nodiscard]] Result<void> check_vouched(const Digest& manifest) const {
    return check_vouched_ ? check_vouched_(manifest) : Result<void>{};
  }
  // kFailedPrecondition unless every file of the variant is held.
  Result<void> check_held(const registry::VerifiedManifest& manifest, const std::string& variant);

  // Gets what is missing: derived from what is held where the manifest says how, by deltas where
  // they are worth it, from `source` and every other one that is configured. What was verified
  // stays for the next attempt. Where a water mark asks for room, blobs that nothing needs go
  // first; those that workers lease stay. kQuotaExceeded if that is not enough.
  Result<registry::FetchProgress> fetch(const registry::VerifiedManifest& manifest,
                                        const std::string& variant,
                                        const std::set<Digest>& leased,
                                        ModelSource& source,
                                        const registry::CancelFlag& cancel,
                                        const registry::Fetcher::OnProgress& on_progress);

  // The strict structure check of every model file of the variant.
  Result<void> admit(const registry::VerifiedManifest& manifest, const std::string& variant);

  // The golden set that applies, as stored; empty if the manifest has none.
  struct Golden {
    std::string text;
    std::string data;
  };
  Result<Golden> golden(const registry::VerifiedManifest& manifest, const std::string& variant);

  // What the director of this device signed.
  [[nodiscard]] DirectorClient& director() { return director_; }

  // For whoever else runs a TUF client over the same metadata (bundles): keep it while it runs.
  [[nodiscard]] std::unique_lock<std::mutex> hold_trust() { return std::unique_lock{trust_}; }

  // Writes the time floor to the catalogue, where the next start finds it. Blocks.
  Result<void> persist_time_floor();
  [[nodiscard]] DeviceTime& time() { return time_; }

  // The machine as variant choice sees it.
  Result<registry::DeviceProfile> profile();

  [[nodiscard]] registry::Catalogue& catalogue() { return catalogue_; }

 private:
  class Reader;
  Result<security::tuf::RefreshOutcome> refresh_metadata(ModelSource& source);
  // Image and director name the same file, where this device has a director.
  Result<void> check_directed(const activation::Offer& offer,
                              const std::string& slot,
                              const security::tuf::TargetFile& image);
  Result<std::string> fetch_manifest(ModelSource& source,
                                     const Digest& digest,
                                     std::uint64_t length,
                                     const registry::CancelFlag& cancel);
  // For an offer that a bundle's import verified: what it recorded decides, and no repository is
  // asked.
  Result<Preflight> preflight_bundle(const activation::Offer& offer,
                                     const std::string& slot,
                                     const std::vector<std::string>& failed);
  // What the security role says of it, then the variant.
  Result<Preflight> ask_leave(registry::VerifiedManifest manifest,
                              const activation::Offer& offer,
                              const std::string& slot,
                              const std::vector<std::string>& failed);
  // Why `variant` may not run here whatever it needs: known bad, or held back by the security role.
  Result<std::optional<std::string>> why_barred(const registry::VerifiedManifest& manifest,
                                                const std::string& variant);
  Result<Preflight> choose(std::shared_ptr<const registry::VerifiedManifest> manifest,
                           const std::string& slot,
                           const std::vector<std::string>& failed);

  Core& core_;
  registry::Catalogue& catalogue_;
  registry::BlobStore& store_;
  DeviceTime& time_;
  std::uint64_t memory_;
  TransferRates rates_;
  DirectorClient director_;
  SecurityTargets* security_ = nullptr;
  const BlobSources* sources_ = nullptr;
  CheckVouched check_vouched_;
  std::optional<runtime::SupervisorOptions> quantizer_;
  // One refresh at a time: the TUF client is not thread-safe.
  std::mutex trust_;
  std::unique_ptr<security::tuf::MetadataStore> metadata_;
};

}  // namespace skerry::agent

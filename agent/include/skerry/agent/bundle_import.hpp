#pragma once

// `skerry bundle import` in the daemon: a folder that an administrator plugged in is opened once,
// verified by the same rules as what comes from the controller (registry/bundle_verify.hpp), and
// offered to the same activation machines, which copy from it, check, try and commit. A bundle that
// was taken before goes on where it stopped. Every import, taken or refused, is on the audit log.
//
// Control thread; reading happens on a transfer thread.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skerry/agent/access.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/installer.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/registry/bundle_verify.hpp"

namespace skerry::agent {

// The catalogue's name for the highest bundle sequence that was taken.
inline constexpr std::string_view kBundleFloor = "offline.sequence";

class BundleImport {
 public:
  struct Parts {
    Access& access;
    AuditWriter& audit;
    Installer& installer;
    SlotManager& slots;
    registry::Catalogue& catalogue;
    registry::BlobStore& store;
    // What this device is called: its name, its id at the controller, its audit key's id.
    std::function<std::vector<std::string>()> names;
  };
  BundleImport(Core& core, Parts parts);

  // Trusts `root` as the offline repository's first root if none is trusted yet. Blocks.
  Result<void> pin_root(std::string_view root);

  struct SlotOutcome {
    std::string slot;
    std::string target;
    std::string manifest_digest;
    std::uint64_t generation = 0;
    // The slot runs it, or works on it, since an earlier import.
    bool offered_before = false;
  };
  struct Outcome {
    std::string id;
    std::uint64_t sequence = 0;
    std::uint64_t bytes = 0;
    std::vector<SlotOutcome> slots;
    std::vector<std::string> remarks;
  };
  // `folder` is absolute. Returns when everything is verified and offered; the slots tell how it
  // goes on. With `check_only` nothing is offered (newer metadata is kept all the same). The errors
  // of `verify_bundle`.
  Task<Result<Outcome>> run(Caller caller, std::filesystem::path folder, bool check_only);

  // For ever: looks for bundles where the configuration says (`bundles.watch`), and imports each
  // one once for as long as it is there unchanged.
  Task<void> watch();

 private:
  struct Opened;
  // What stands in a watched folder, and how to know it again.
  struct Seen {
    std::filesystem::path folder;
    std::string mark;

    friend bool operator==(const Seen&, const Seen&) = default;
  };
  static std::vector<Seen> look_into(const std::filesystem::path& folder);
  // The import itself, recorded; whether `caller` may was decided.
  Task<Result<Outcome>> take(Caller caller,
                             std::optional<security::Decision> decision,
                             std::filesystem::path folder,
                             bool check_only);
  Result<Opened> open_and_verify(const std::filesystem::path& folder,
                                 const std::vector<std::string>& names,
                                 bool check_only);
  Result<void> record_models(const registry::VerifiedBundle& bundle);
  SlotOutcome offer(const registry::VerifiedBundle::Model& model, const std::string& id);

  Core& core_;
  Parts parts_;
  std::unique_ptr<security::tuf::MetadataStore> offline_;
  std::unique_ptr<security::tuf::MetadataStore> image_;
  std::vector<Seen> seen_;
};

}  // namespace skerry::agent

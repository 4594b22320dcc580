#pragma once

// What the gateway does for its disk when nobody asks: collects above the high water mark, brings
// blobs into the form that `storage.encryption` says, and reads blobs again in idle time, a little
// at a time, within a limited rate. Each finding of a scrub is a durable audit record. Control
// thread; the reading happens on a thread of its own.

#include <functional>

#include "skerry/agent/audit_writer.hpp"
#include "skerry/agent/blob_sources.hpp"
#include "skerry/agent/core.hpp"
#include "skerry/agent/model_host.hpp"
#include "skerry/agent/slot_manager.hpp"
#include "skerry/async/task.hpp"
#include "skerry/registry/gc.hpp"
#include "skerry/registry/scrub.hpp"

namespace skerry::agent {

class Maintenance {
 public:
  struct Parts {
    AuditWriter& audit;
    SlotManager& slots;
    ModelHost& host;
    registry::Catalogue& catalogue;
    registry::BlobStore& store;
    // Where a rotten blob may come from besides the controller.
    const BlobSources& sources;
    // True while requests are answered: then a scrub of one's own accord waits.
    std::function<bool()> busy;
  };
  Maintenance(Core& core, Parts parts) : core_(core), parts_(std::move(parts)) {}
  ~Maintenance() { cancel_.cancel(); }
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

  // For ever: a look each minute.
  Task<void> run();

  // Reads blobs as `options` say, heals from where offers come from, and records each finding.
  // kFailedPrecondition while another scrub runs.
  Task<Result<registry::ScrubReport>> scrub(registry::ScrubOptions options);

  // The water marks of the settings.
  [[nodiscard]] registry::GcGoal marks() const;

  // Blobs that were not in the form of `storage.encryption` when they were last counted.
  [[nodiscard]] std::uint64_t unconverted() const { return unconverted_; }

  // Ends a scrub or a conversion within one piece; for the end of the daemon.
  void stop() { cancel_.cancel(); }

 private:
  Task<void> collect();
  Task<void> scrub_a_little();
  Task<void> convert();
  Task<void> count_forms();
  Task<bool> fetch_lost();
  // Of what slots run and would go back to.
  Result<std::vector<registry::WantedBlob>> missing_blobs();
  Result<bool> fetch_missing(ModelSource* source, const std::vector<registry::WantedBlob>& missing);
  Result<void> look_for(const registry::SlotGeneration& generation,
                        std::vector<registry::WantedBlob>& missing);

  Core& core_;
  Parts parts_;
  registry::CancelFlag cancel_;
  bool scrubbing_ = false;
  std::uint64_t unconverted_ = 0;
  // Blobs of slots that were missing at the last look.
  std::uint64_t lost_ = 0;
};

}  // namespace skerry::agent

#pragma once

// Removes blobs that nothing needs. Roots: active, previous and trial generations, the desired
// state, pins, open and interrupted ingests, and what the caller leases (workers hold descriptors).
// Two-phase per blob, so that a crash anywhere is finished by the next start. The agent runs it;
// `skerry registry gc --dry-run` prints the plan.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "skerry/common/digest.hpp"
#include "skerry/common/result.hpp"
#include "skerry/registry/blob_store.hpp"
#include "skerry/registry/catalogue.hpp"

namespace skerry::registry {

struct GcEntry {
  Digest digest;
  std::uint64_t size = 0;
  bool keep = false;
  // "active in slot default (acme/log-triage 1.2.0 q4_k_m)", "pinned: …", "leased by a worker",
  // "unreferenced, last used …", "unreferenced, kept: …"
  std::string why;
};

// What a collection is for.
struct GcGoal {
  // Stop when that many bytes were removed, largest first; 0: remove all that is unreferenced.
  std::uint64_t wanted_bytes = 0;
  // With a high water mark: nothing is done while all blobs together take no more than `high`; else
  // the least recently used go until they take no more than `low`. 0: no marks.
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  // Bytes that are about to come and count as if they were here.
  std::uint64_t incoming = 0;
};

struct GcPlan {
  std::vector<GcEntry> entries;  // every blob, by digest
  std::uint64_t reclaimable = 0;
  std::uint64_t kept = 0;
};

struct GcReport {
  std::uint64_t removed = 0;
  std::uint64_t bytes = 0;
};

// Reads only. `leased` are digests that must stay whatever the catalogue says.
Result<GcPlan> plan_gc(Catalogue& catalogue,
                       BlobStore& store,
                       const std::set<Digest>& leased,
                       const GcGoal& goal = {});

// Plans and removes. Each blob is judged again right before its removal. Stops at the first error;
// what was removed stays so.
Result<GcReport> run_gc(Catalogue& catalogue,
                        BlobStore& store,
                        const std::set<Digest>& leased,
                        const GcGoal& goal = {});

// Before a fetch of `incoming` bytes: collects down to the low water mark if they would pass the
// high one. kQuotaExceeded, with the figures, if what is needed and they do not fit below it.
Result<GcReport> make_room(Catalogue& catalogue,
                           BlobStore& store,
                           const std::set<Digest>& leased,
                           const GcGoal& goal);

}  // namespace skerry::registry

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
  // "active in slot default (acme/log-triage 1.2.0 q4_k_m)", "pinned: …", "unreferenced"
  std::string why;
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
Result<GcPlan> plan_gc(Catalogue& catalogue, BlobStore& store, const std::set<Digest>& leased);

// Plans and removes until `wanted_bytes` are free (0: all that is unreferenced), largest first.
// Each blob is judged again right before its removal. Stops at the first error; what was removed
// stays so.
Result<GcReport> run_gc(Catalogue& catalogue,
                        BlobStore& store,
                        const std::set<Digest>& leased,
                        std::uint64_t wanted_bytes = 0);

}  // namespace skerry::registry

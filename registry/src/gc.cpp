#include "skerry/registry/gc.hpp"

#include <algorithm>
#include <map>

namespace skerry::registry {

Result<GcPlan> plan_gc(Catalogue& catalogue, BlobStore& store, const std::set<Digest>& leased) {
  const auto blobs = catalogue.list_blobs();
  if (!blobs) {
    return blobs.error();
  }
  const auto references = catalogue.references();
  if (!references) {
    return references.error();
  }
  const auto in_flight = store.in_flight();
  if (!in_flight) {
    return in_flight.error();
  }
  std::map<Digest, std::string> needed;
  for (const auto& reference : *references) {
    auto& why = needed[reference.blob];
    why += (why.empty() ? "" : ", ") + reference.why;
  }
  for (const auto& digest : leased) {
    auto& why = needed[digest];
    why += why.empty() ? "leased by a worker" : ", leased by a worker";
  }
  for (const auto& digest : *in_flight) {
    needed.emplace(digest, "being fetched");
  }
  GcPlan plan;
  for (const auto& blob : *blobs) {
    const auto found = needed.find(blob.digest);
    GcEntry entry{blob.digest,
                  blob.size,
                  found != needed.end(),
                  found == needed.end() ? "unreferenced" : found->second};
    (entry.keep ? plan.kept : plan.reclaimable) += blob.size;
    plan.entries.push_back(std::move(entry));
  }
  return plan;
}

Result<GcReport> run_gc(Catalogue& catalogue,
                        BlobStore& store,
                        const std::set<Digest>& leased,
                        std::uint64_t wanted_bytes) {
  auto plan = plan_gc(catalogue, store, leased);
  if (!plan) {
    return plan.error();
  }
  std::stable_sort(plan->entries.begin(),
                   plan->entries.end(),
                   [](const GcEntry& a, const GcEntry& b) { return a.size > b.size; });
  GcReport report;
  for (const auto& entry : plan->entries) {
    if (wanted_bytes != 0 && report.bytes >= wanted_bytes) {
      break;
    }
    if (entry.keep) {
      continue;
    }
    const auto claimed = catalogue.claim_for_deletion(entry.digest);
    if (!claimed) {
      return claimed.error().with_context("garbage collection");
    }
    if (!*claimed) {
      continue;  // referred to since the plan was made
    }
    if (auto ok = store.remove(entry.digest); !ok) {
      return ok.error().with_context("garbage collection");
    }
    ++report.removed;
    report.bytes += entry.size;
  }
  return report;
}

}  // namespace skerry::registry

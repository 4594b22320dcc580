#include "skerry/registry/gc.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace skerry::registry {
namespace {

constexpr std::string_view kUnreferenced = "unreferenced";

std::string bytes_text(std::uint64_t bytes) {
  return std::to_string(bytes) + " bytes";
}

// Why each blob is needed: everything but what is unreferenced.
Result<std::map<Digest, std::string>> needed_blobs(Catalogue& catalogue,
                                                   BlobStore& store,
                                                   const std::set<Digest>& leased) {
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
  return needed;
}

// The entries that nothing needs, in the order they would go.
std::vector<GcEntry*> removal_order(GcPlan& plan,
                                    const GcGoal& goal,
                                    const std::map<Digest, WallTime>& used) {
  std::vector<GcEntry*> order;
  for (auto& entry : plan.entries) {
    if (!entry.keep) {
      order.push_back(&entry);
    }
  }
  const auto last_used = [&](const GcEntry& entry) {
    const auto found = used.find(entry.digest);
    return found == used.end() ? WallTime{} : found->second;
  };
  std::stable_sort(order.begin(), order.end(), [&](const GcEntry* a, const GcEntry* b) {
    if (goal.high == 0) {
      return a->size > b->size;
    }
    const auto a_used = last_used(*a);
    const auto b_used = last_used(*b);
    return a_used != b_used ? a_used < b_used : a->size > b->size;
  });
  for (auto* entry : order) {
    const auto found = used.find(entry->digest);
    entry->why += found == used.end() ? ", never used" : ", last used " + to_rfc3339(found->second);
  }
  return order;
}

// Keeps what the goal leaves alone, and says why.
void apply_goal(GcPlan& plan, const GcGoal& goal, const std::vector<GcEntry*>& order) {
  const auto total = plan.kept + plan.reclaimable + goal.incoming;
  std::uint64_t wanted = goal.wanted_bytes != 0 ? goal.wanted_bytes : plan.reclaimable;
  std::string enough = "kept: enough was removed";
  if (goal.high != 0) {
    wanted = total > goal.high ? total - std::min(total, goal.low) : 0;
    enough = total > goal.high
                 ? "kept: the low water mark of " + bytes_text(goal.low) + " is reached"
                 : "kept: " + bytes_text(total) + " are below the high water mark of " +
                       bytes_text(goal.high);
  }
  std::uint64_t freed = 0;
  for (auto* entry : order) {
    if (freed < wanted) {
      freed += entry->size;
      continue;
    }
    entry->keep = true;
    entry->why += ", " + enough;
  }
  plan.kept += plan.reclaimable - freed;
  plan.reclaimable = freed;
}

struct Planned {
  GcPlan plan;
  std::vector<Digest> order;
};

Result<Planned> make_plan(Catalogue& catalogue,
                          BlobStore& store,
                          const std::set<Digest>& leased,
                          const GcGoal& goal) {
  const auto blobs = catalogue.list_blobs();
  if (!blobs) {
    return blobs.error();
  }
  const auto needed = needed_blobs(catalogue, store, leased);
  if (!needed) {
    return needed.error();
  }
  const auto used = catalogue.last_used();
  if (!used) {
    return used.error();
  }
  Planned planned;
  for (const auto& blob : *blobs) {
    const auto found = needed->find(blob.digest);
    const bool keep = found != needed->end();
    planned.plan.entries.push_back(
        {blob.digest, blob.size, keep, keep ? found->second : std::string{kUnreferenced}});
    (keep ? planned.plan.kept : planned.plan.reclaimable) += blob.size;
  }
  const auto order = removal_order(planned.plan, goal, *used);
  apply_goal(planned.plan, goal, order);
  for (const auto* entry : order) {
    if (!entry->keep) {
      planned.order.push_back(entry->digest);
    }
  }
  return planned;
}

}  // namespace

Result<GcPlan> plan_gc(Catalogue& catalogue,
                       BlobStore& store,
                       const std::set<Digest>& leased,
                       const GcGoal& goal) {
  auto planned = make_plan(catalogue, store, leased, goal);
  if (!planned) {
    return planned.error();
  }
  return std::move(planned->plan);
}

Result<GcReport> run_gc(Catalogue& catalogue,
                        BlobStore& store,
                        const std::set<Digest>& leased,
                        const GcGoal& goal) {
  const auto planned = make_plan(catalogue, store, leased, goal);
  if (!planned) {
    return planned.error();
  }
  std::map<Digest, std::uint64_t> sizes;
  for (const auto& entry : planned->plan.entries) {
    sizes.emplace(entry.digest, entry.size);
  }
  GcReport report;
  for (const auto& digest : planned->order) {
    const auto claimed = catalogue.claim_for_deletion(digest);
    if (!claimed) {
      return claimed.error().with_context("garbage collection");
    }
    if (!*claimed) {
      continue;  // referred to since the plan was made
    }
    const auto removed = store.remove_claimed(digest);
    if (!removed) {
      return removed.error().with_context("garbage collection");
    }
    if (!*removed) {
      continue;  // wanted since it was claimed: fetched anew by now, or about to be
    }
    ++report.removed;
    report.bytes += sizes[digest];
  }
  return report;
}

Result<GcReport> make_room(Catalogue& catalogue,
                           BlobStore& store,
                           const std::set<Digest>& leased,
                           const GcGoal& goal) {
  if (goal.high == 0) {
    return GcReport{};
  }
  auto report = run_gc(catalogue, store, leased, goal);
  if (!report) {
    return report;
  }
  const auto left = plan_gc(catalogue, store, leased, goal);
  if (!left) {
    return left.error();
  }
  const auto held = left->kept + left->reclaimable;
  if (held + goal.incoming > goal.high) {
    return Error{Error::Code::kQuotaExceeded,
                 bytes_text(goal.incoming) + " more do not fit: " + bytes_text(held) +
                     " are needed here (skerry registry gc --dry-run says by what), the high water "
                     "mark is " +
                     bytes_text(goal.high)};
  }
  return report;
}

}  // namespace skerry::registry

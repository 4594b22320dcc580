#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "skerry/agent/upstream_choice.hpp"

namespace skerry::agent::upstream {
namespace {

// A server that failed so many requests in a row is not well, whatever its health page says.
constexpr unsigned kMostFaults = 3;
// A probe that fails once may be a hiccup.
constexpr unsigned kMostFailedProbes = 2;
constexpr std::chrono::minutes kLongestBusy{1};

// How full it is: 1 is full by our own count; others' requests weigh the same.
double load_of(const EndpointState& endpoint) {
  return (static_cast<double>(endpoint.in_flight) + endpoint.foreign_load) /
         static_cast<double>(endpoint.facts.most);
}

bool better(const EndpointState& a, const EndpointState& b) {
  if (load_of(a) != load_of(b)) {
    return load_of(a) < load_of(b);
  }
  return a.first_piece < b.first_piece;
}

void add_reason(std::string& reasons, const std::string& reason) {
  reasons += (reasons.empty() ? "" : "; ") + reason;
}

}  // namespace

std::string_view to_string(Health health) noexcept {
  switch (health) {
    case Health::kUnknown:
      return "unknown";
    case Health::kUp:
      return "up";
    case Health::kDown:
      return "down";
  }
  return "unknown";
}

Book::Book(std::vector<EndpointFacts> endpoints, BookTimes times) : times_(times) {
  for (EndpointFacts& facts : endpoints) {
    facts.most = std::max(facts.most, 1U);
    endpoints_.emplace_back().facts = std::move(facts);
  }
}

Book::Standing Book::standing_of(std::size_t endpoint,
                                 const Able& able,
                                 const std::set<std::size_t>& tried,
                                 BootTime now) const {
  const EndpointState& state = endpoints_[endpoint];
  Standing standing;
  if (Result<void> can = able(state); !can) {
    standing.why = can.error().message();
    // It may have the model tomorrow.
    standing.able = can.error().code() == Error::Code::kUnavailable;
    return standing;
  }
  standing.able = true;
  if (tried.contains(endpoint)) {
    return standing;
  }
  if (state.health == Health::kDown) {
    standing.why = state.told;
    return standing;
  }
  // One that was not asked yet is being asked: what it has is not known (mlx_lm.server fetches
  // a model that it does not have).
  standing.busy = state.health == Health::kUnknown || state.in_flight >= state.facts.most ||
                  state.busy_until > now;
  standing.free = !standing.busy;
  return standing;
}

Book::Offer Book::offer_of(Tier tier,
                           const Able& able,
                           const std::set<std::size_t>& tried,
                           BootTime now) const {
  Offer offer;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (endpoints_[i].facts.tier != tier) {
      continue;
    }
    const Standing standing = standing_of(i, able, tried, now);
    offer.able = offer.able || standing.able;
    offer.busy = offer.busy || standing.busy;
    if (!standing.why.empty()) {
      add_reason(offer.reasons, endpoints_[i].facts.name + ": " + standing.why);
    }
    if (standing.free && (!offer.best || better(endpoints_[i], endpoints_[*offer.best]))) {
      offer.best = i;
    }
  }
  return offer;
}

Choice Book::choose(const std::vector<Tier>& order,
                    bool spill,
                    const Able& able,
                    const std::set<std::size_t>& tried,
                    BootTime now) const {
  Choice choice;
  bool any_able = false;
  std::string reasons;
  for (const Tier tier : order) {
    const Offer offer = offer_of(tier, able, tried, now);
    any_able = any_able || offer.able;
    if (!offer.reasons.empty()) {
      add_reason(reasons, offer.reasons);
    }
    if (offer.best) {
      choice.what = Choice::What::kUse;
      choice.endpoint = *offer.best;
      return choice;
    }
    if (offer.busy) {
      choice.what = Choice::What::kWait;
    }
    if (offer.busy && !spill) {
      break;
    }
  }
  if (choice.what == Choice::What::kWait) {
    return choice;
  }
  if (reasons.empty()) {
    reasons = endpoints_.empty() ? "none is configured" : "none stands in a tier that may answer";
  }
  choice.error = any_able ? Error{Error::Code::kUnavailable, "no upstream is well: " + reasons}
                          : Error{Error::Code::kUnimplemented,
                                  "no upstream can answer this request: " + reasons};
  return choice;
}

void Book::take_down(EndpointState& endpoint,
                     std::string problem,
                     std::string told,
                     BootTime now) const {
  endpoint.health = Health::kDown;
  endpoint.told = told.empty() ? problem : std::move(told);
  endpoint.problem = std::move(problem);
  const auto doublings = std::min(endpoint.failed_probes, 16U);
  endpoint.next_probe =
      now + std::min(times_.longest, times_.first * (std::int64_t{1} << doublings));
}

void Book::probed(std::size_t endpoint, Probe probe, BootTime now) {
  EndpointState& state = endpoints_[endpoint];
  state.health = Health::kUp;
  state.problem.clear();
  state.told.clear();
  state.faults = 0;
  state.failed_probes = 0;
  state.models = std::move(probe.models);
  // Ours are counted as they come and go.
  state.foreign_load =
      std::max(0.0, probe.load.value_or(0.0) - static_cast<double>(state.in_flight));
  state.next_probe = now + times_.interval;
}

void Book::probe_failed(std::size_t endpoint, std::string problem, BootTime now, std::string told) {
  EndpointState& state = endpoints_[endpoint];
  ++state.failed_probes;
  if (state.health == Health::kUp && state.failed_probes < kMostFailedProbes) {
    state.next_probe = now + times_.first;
    return;
  }
  take_down(state, std::move(problem), std::move(told), now);
}

void Book::started(std::size_t endpoint) {
  ++endpoints_[endpoint].in_flight;
}

void Book::ended(std::size_t endpoint, const Outcome& outcome, BootTime now) {
  EndpointState& state = endpoints_[endpoint];
  state.in_flight -= state.in_flight > 0 ? 1U : 0U;
  if (outcome.first_piece.count() > 0) {
    state.first_piece = state.first_piece.count() == 0
                            ? outcome.first_piece
                            : (state.first_piece * 7 + outcome.first_piece) / 8;
  }
  if (outcome.ended_here) {
    return;
  }
  if (!outcome.blame || *outcome.blame == Blame::kRequest) {
    // Also a refusal shows that it is there.
    ++state.answered;
    state.faults = 0;
    return;
  }
  ++state.failed;
  switch (*outcome.blame) {
    case Blame::kRequest:
      break;
    case Blame::kBusy: {
      const auto pause = outcome.retry_after.count() > 0 ? outcome.retry_after : times_.busy;
      state.busy_until = now + std::min<std::chrono::nanoseconds>(pause, kLongestBusy);
      break;
    }
    case Blame::kServer:
      if (++state.faults >= kMostFaults) {
        take_down(state, outcome.problem, outcome.told, now);
      }
      break;
    case Blame::kMissing:
    case Blame::kSettings:
    case Blame::kLost:
      take_down(state, outcome.problem, outcome.told, now);
      break;
  }
}

std::optional<std::pair<std::size_t, BootTime>> Book::next_probe() const {
  std::optional<std::pair<std::size_t, BootTime>> next;
  for (std::size_t i = 0; i < endpoints_.size(); ++i) {
    if (!next || endpoints_[i].next_probe < next->second) {
      next = {i, endpoints_[i].next_probe};
    }
  }
  return next;
}

void Book::probing(std::size_t endpoint, BootTime now) {
  endpoints_[endpoint].next_probe = now + std::max(times_.interval, times_.longest);
}

bool WaitingLine::push(Entry entry) {
  if (entries_.size() >= most_) {
    return false;
  }
  entries_.push_back(std::move(entry));
  return true;
}

void WaitingLine::remove(std::uint64_t id) {
  std::erase_if(entries_, [id](const Entry& entry) { return entry.id == id; });
}

std::vector<std::uint64_t> WaitingLine::order(
    const std::function<std::size_t(const std::string& principal)>& under_way) const {
  struct Ranked {
    const Entry* entry;
    std::size_t share;
  };
  std::vector<Ranked> ranked;
  std::map<std::string_view, std::size_t> shares;
  for (const Entry& entry : entries_) {
    const auto [share, first] = shares.try_emplace(entry.principal, 0);
    if (first) {
      share->second = under_way(entry.principal);
    }
    // Those of the same principal that came before it count too: they take turns.
    ranked.push_back({&entry, share->second++});
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const Ranked& a, const Ranked& b) {
    return a.entry->priority != b.entry->priority ? a.entry->priority < b.entry->priority
                                                  : a.share < b.share;
  });
  std::vector<std::uint64_t> ids;
  ids.reserve(ranked.size());
  for (const Ranked& one : ranked) {
    ids.push_back(one.entry->id);
  }
  return ids;
}

}  // namespace skerry::agent::upstream

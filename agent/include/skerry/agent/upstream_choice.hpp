#pragma once

// Which server gets the next request: health, load and the signed order of the tiers. A state
// machine without I/O: it is told what happened (probes, requests) and the time, and asked whom to
// use. One per daemon, on the control thread; `Upstreams` performs what it decides.

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "skerry/agent/upstream_quirks.hpp"
#include "skerry/agent/upstream_stream.hpp"
#include "skerry/common/clock.hpp"
#include "skerry/common/result.hpp"
#include "skerry/runtime/request.hpp"

namespace skerry::agent::upstream {

struct EndpointFacts {
  std::string name;
  Tier tier = Tier::kLocal;
  unsigned most = 8;  // requests at once
};

struct BookTimes {
  // Between two probes of a server that is well; one that is not is asked again after `first`,
  // doubling to `longest`.
  std::chrono::nanoseconds interval{std::chrono::seconds{10}};
  std::chrono::nanoseconds first{std::chrono::seconds{1}};
  std::chrono::nanoseconds longest{std::chrono::seconds{60}};
  // A server that says that it is busy, and not for how long.
  std::chrono::nanoseconds busy{std::chrono::seconds{1}};
};

enum class Health : std::uint8_t { kUnknown, kUp, kDown };

std::string_view to_string(Health health) noexcept;

// What a probe learnt.
struct Probe {
  // Empty: it does not list them.
  std::optional<std::set<std::string>> models;
  // Requests of everybody that it works on; none: it does not say.
  std::optional<double> load;
};

// How a request ended.
struct Outcome {
  // None: it was answered.
  std::optional<Blame> blame;
  std::string problem;  // for administrators and the log: may name hosts and files
  // What the server asked for (retry-after); 0: nothing.
  std::chrono::nanoseconds retry_after{0};
  // To the first piece of the answer; 0: there was none.
  std::chrono::nanoseconds first_piece{0};
  // We ended it (a client that went, a deadline): it says nothing about the server.
  bool ended_here = false;
  // What callers are told of the problem; empty: the same.
  std::string told{};
};

struct EndpointState {
  EndpointFacts facts;
  Health health = Health::kUnknown;
  std::string problem;  // why it is down, for administrators
  std::string told;     // the same for callers
  unsigned in_flight = 0;
  unsigned faults = 0;  // of requests, in a row
  unsigned failed_probes = 0;
  std::optional<std::set<std::string>> models;
  // Of others, when it was last asked.
  double foreign_load = 0;
  BootTime next_probe{};
  BootTime busy_until{};
  // Smoothed; 0: not known yet.
  std::chrono::nanoseconds first_piece{0};
  std::uint64_t answered = 0;
  std::uint64_t failed = 0;
};

struct Choice {
  enum class What : std::uint8_t {
    kUse,   // `endpoint`
    kWait,  // all that may answer are busy
    kNone,  // `error`
  };
  What what = What::kNone;
  std::size_t endpoint = 0;
  Error error{Error::Code::kUnavailable, ""};
};

class Book {
 public:
  Book(std::vector<EndpointFacts> endpoints, BookTimes times);

  // Why an endpoint cannot answer this request at all, if so: another model, another interface.
  using Able = std::function<Result<void>(const EndpointState&)>;
  // Among the first tier of `order` that has servers which are well: the least loaded, and of
  // equals the one that answers sooner. The next tier is asked when none of a tier is well, and
  // with `spill` also when all are busy. `tried` are left out.
  [[nodiscard]] Choice choose(const std::vector<Tier>& order,
                              bool spill,
                              const Able& able,
                              const std::set<std::size_t>& tried,
                              BootTime now) const;

  void probed(std::size_t endpoint, Probe probe, BootTime now);
  // `told`: as Outcome has it.
  void probe_failed(std::size_t endpoint, std::string problem, BootTime now, std::string told = {});
  void started(std::size_t endpoint);
  void ended(std::size_t endpoint, const Outcome& outcome, BootTime now);

  // The endpoint whose probe is due first, and when; none without endpoints.
  [[nodiscard]] std::optional<std::pair<std::size_t, BootTime>> next_probe() const;
  // It is asked now; until its probe ends it is not due.
  void probing(std::size_t endpoint, BootTime now);

  [[nodiscard]] const std::vector<EndpointState>& endpoints() const { return endpoints_; }

 private:
  // Where an endpoint stands for one request: not able, down, busy or free.
  struct Standing {
    bool able = false;
    bool busy = false;
    bool free = false;
    std::string why;
  };
  [[nodiscard]] Standing standing_of(std::size_t endpoint,
                                     const Able& able,
                                     const std::set<std::size_t>& tried,
                                     BootTime now) const;
  // What the servers of one tier are to one request.
  struct Offer {
    std::optional<std::size_t> best;  // of those that are free
    bool able = false;                // one of them, though it may not be well
    bool busy = false;                // one of them
    std::string reasons;              // of those that do not answer it
  };
  [[nodiscard]] Offer offer_of(Tier tier,
                               const Able& able,
                               const std::set<std::size_t>& tried,
                               BootTime now) const;
  void take_down(EndpointState& endpoint,
                 std::string problem,
                 std::string told,
                 BootTime now) const;

  std::vector<EndpointState> endpoints_;
  BookTimes times_;
};

// Requests that wait for room, bounded. Fair: the higher class first, then the principal who has
// least under way, then who came first.
class WaitingLine {
 public:
  struct Entry {
    std::uint64_t id = 0;
    std::string principal;
    runtime::PriorityClass priority = runtime::PriorityClass::kNormal;
  };

  explicit WaitingLine(std::size_t most) : most_(most) {}

  // False if it is full.
  [[nodiscard]] bool push(Entry entry);
  void remove(std::uint64_t id);
  // Every entry, in the order in which they get room. `under_way` tells how much a principal has.
  [[nodiscard]] std::vector<std::uint64_t> order(
      const std::function<std::size_t(const std::string& principal)>& under_way) const;
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  std::size_t most_;
  std::vector<Entry> entries_;  // as they came
};

}  // namespace skerry::agent::upstream

#include "skerry/agent/link_keeper.hpp"

#include <algorithm>
#include <utility>

namespace skerry::agent {
namespace {

constexpr std::string_view kBudgetFile = "link-budget.json";
constexpr std::size_t kMaxBudgetFile = 4096;
// Written down ahead of being spent: a crash costs at most so much of a budget.
constexpr std::uint64_t kLongestStep = 8ULL << 20U;
constexpr std::uint64_t kShortestStep = 64ULL << 10U;
constexpr std::uint64_t kStepsPerBudget = 64;

LinkUse stored_use(Core& core) {
  const auto path = core.settings->state_dir() / kBudgetFile;
  if (!core.fs.exists(path)) {
    return {};
  }
  const auto text = read_file(core.fs, path, kMaxBudgetFile);
  const auto use = text ? LinkUse::from_json(*text) : Result<LinkUse>{text.error()};
  if (!use) {
    core.log.error("link.budget_unreadable", use.error());
    return {};
  }
  return *use;
}

}  // namespace

LinkKeeper::LinkKeeper(Core& core, const DeviceTime& time)
    : core_(core),
      time_(time),
      book_(stored_use(core), core.clock.boot_now()),
      written_(book_.use()) {}

bool LinkKeeper::metered() const {
  const auto settings = core_.settings;
  const LinkConfig& link = settings->link();
  return link.metered || (!link.metered_file.empty() && core_.fs.exists(link.metered_file));
}

LinkRules LinkKeeper::rules() const {
  const auto settings = core_.settings;
  LinkRules rules;
  rules.daily = settings->link().daily.bytes;
  rules.monthly = settings->link().monthly.bytes;
  rules.quiet = settings->quiet_hours();
  rules.zone = settings->quiet_hours_zone();
  const std::uint64_t metered_daily = settings->link().metered_daily.bytes;
  if (metered_daily != 0 && metered()) {
    rules.daily = rules.daily == 0 ? metered_daily : std::min(rules.daily, metered_daily);
  }
  return rules;
}

LinkTime LinkKeeper::now() const {
  LinkTime time;
  time.boot = core_.clock.boot_now();
  if (const security::TrustedTime wall = time_.now(); wall.attested()) {
    time.wall = wall.now;
  }
  return time;
}

Result<void> LinkKeeper::spend(std::uint64_t bytes) {
  const LinkRules limits = rules();
  const LinkTime time = now();
  const std::lock_guard lock{mutex_};
  book_.advance(time);
  if (auto ok = book_.may(limits, time); !ok) {
    return ok;
  }
  book_.add(bytes);
  return bytes == 0 ? Result<void>{} : write_ahead(limits);
}

Result<void> LinkKeeper::write_ahead(const LinkRules& limits) {
  const LinkUse& use = book_.use();
  const bool same_spans = use.day == written_.day && use.month == written_.month;
  // A span that began anew without a calendar has fewer bytes: then what is written is too much.
  const bool covered = use.day_bytes <= written_.day_bytes &&
                       use.month_bytes <= written_.month_bytes &&
                       written_.day_bytes - use.day_bytes <= 2 * kLongestStep;
  if (same_spans && covered) {
    return {};
  }
  const std::uint64_t smallest = std::min(limits.daily == 0 ? UINT64_MAX : limits.daily,
                                          limits.monthly == 0 ? UINT64_MAX : limits.monthly);
  const std::uint64_t step = std::clamp(smallest / kStepsPerBudget, kShortestStep, kLongestStep);
  LinkUse ahead = use;
  ahead.day_bytes += step;
  ahead.month_bytes += step;
  return write(ahead);
}

Result<void> LinkKeeper::write(const LinkUse& use) {
  const auto path = core_.settings->state_dir() / kBudgetFile;
  if (auto ok = write_file_atomic(core_.fs, path, use.to_json(), 0600); !ok) {
    return ok.error().with_context("link budget");
  }
  written_ = use;
  return {};
}

Result<void> LinkKeeper::close() {
  const LinkTime time = now();
  const std::lock_guard lock{mutex_};
  book_.advance(time);
  const LinkUse& use = book_.use();
  const bool exact = use.day_bytes == written_.day_bytes && use.month_bytes == written_.month_bytes;
  return exact ? Result<void>{} : write(use);
}

LinkState LinkKeeper::state() {
  const LinkRules limits = rules();
  const LinkTime time = now();
  LinkState state;
  state.metered = metered();
  state.day_limit = limits.daily;
  state.month_limit = limits.monthly;
  const std::lock_guard lock{mutex_};
  book_.advance(time);
  state.day_bytes = book_.use().day_bytes;
  state.month_bytes = book_.use().month_bytes;
  if (auto ok = book_.may(limits, time); !ok) {
    state.held_back = ok.error().message();
  }
  return state;
}

}  // namespace skerry::agent

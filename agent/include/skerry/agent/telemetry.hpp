#pragma once

// Samples the daemon's figures and writes them to the outbox by column: one chunk of several points
// per flush instead of a row per point. No prompt text, no caller names. Control thread.

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "skerry/agent/core.hpp"
#include "skerry/agent/metrics.hpp"
#include "skerry/agent/outbox.hpp"
#include "skerry/async/task.hpp"

namespace skerry::agent {

class Telemetry {
 public:
  // Points that one chunk holds.
  static constexpr std::size_t kPoints = 5;

  Telemetry(Core& core, const Metrics& metrics, Outbox& outbox, std::function<Gauges()> gauges);

  // Samples every telemetry.interval until cancelled. Does nothing without a controller to send to.
  Task<void> run();

  // One point now; a full chunk is returned as a serialised OutboxRecord, else empty.
  std::string sample();

 private:
  struct Key {
    std::string name;
    std::string model;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  void add(std::string_view name, const std::string& model, double value);

  Core& core_;
  const Metrics& metrics_;
  Outbox& outbox_;
  std::function<Gauges()> gauges_;
  std::vector<WallTime> times_;
  std::map<Key, std::vector<double>> series_;
  std::map<Key, double> last_;
};

}  // namespace skerry::agent

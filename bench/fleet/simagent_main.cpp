// skerry-simagent: enrols simulated devices at a running controller, keeps them connected, rolls
// out one model version after another and prints how long each took to reach the devices: from the
// operator's call to the message in the device's hands, over mTLS.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>

#include "fleet_sim.hpp"

namespace skerry::sim {
namespace {

using SteadyClock = std::chrono::steady_clock;

// Counts arrivals of one target.
class Arrivals {
 public:
  void expect(std::string target, std::size_t devices) {
    const std::lock_guard lock{mutex_};
    target_ = std::move(target);
    left_ = devices;
    times_.clear();
  }

  void arrived(const fleet::v1::ControllerMessage& message) {
    const auto now = SteadyClock::now();
    const std::lock_guard lock{mutex_};
    for (const auto& slot : message.desired().slots()) {
      if (slot.target() == target_) {
        times_.push_back(now);
        if (--left_ == 0) {
          changed_.notify_all();
        }
      }
    }
  }

  // Milliseconds after `start`, or nothing if not all came within the time.
  std::vector<double> wait(SteadyClock::time_point start) {
    std::unique_lock lock{mutex_};
    if (!changed_.wait_for(lock, std::chrono::seconds{20}, [this] { return left_ == 0; })) {
      return {};
    }
    std::vector<double> out;
    for (const auto& time : times_) {
      out.push_back(std::chrono::duration<double, std::milli>(time - start).count());
    }
    return out;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string target_;
  std::size_t left_ = 0;
  std::vector<SteadyClock::time_point> times_;
};

fleet::v1::DeviceMessage committed(const fleet::v1::DesiredSlot& slot) {
  fleet::v1::DeviceMessage message;
  auto* report = message.mutable_report();
  report->set_slot(slot.slot());
  report->set_generation(slot.generation());
  report->set_state("COMMITTED");
  report->set_target(slot.target());
  report->set_manifest_digest(slot.manifest_digest());
  report->set_rollout_id(slot.rollout_id());
  return message;
}

double percentile(const std::vector<double>& sorted, double p) {
  const auto index = static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[std::min(index, sorted.size() - 1)];
}

int fail(const Error& error) {
  std::fprintf(stderr, "skerry-simagent: %s\n", error.message().c_str());
  return 1;
}

bool finished(SimOperator& fleet_operator, const std::string& rollout_id) {
  for (int i = 0; i < 200; ++i) {
    grpc::ClientContext context;
    fleet::v1::GetRolloutRequest request;
    request.set_rollout_id(rollout_id);
    fleet::v1::Rollout rollout;
    if (fleet_operator.fleet().GetRollout(&context, request, &rollout).ok() &&
        rollout.state() == fleet::v1::ROLLOUT_STATE_DONE) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
  return false;
}

int run(const std::string& address,
        const std::string& bundle,
        std::size_t count,
        int rounds,
        bool directed) {
  SimOperator fleet_operator{address, bundle};
  if (directed) {
    if (auto published = fleet_operator.publish_director(); !published) {
      return fail(published.error());
    }
  }
  Arrivals arrivals;
  const auto handler = [&arrivals](SimDevice& device, const fleet::v1::ControllerMessage& message) {
    if (!message.has_desired()) {
      return;
    }
    arrivals.arrived(message);
    for (const auto& slot : message.desired().slots()) {
      device.send(committed(slot));
    }
  };
  std::vector<std::unique_ptr<SimDevice>> devices;
  for (std::size_t i = 0; i < count; ++i) {
    const auto token = fleet_operator.token();
    if (!token) {
      return fail(token.error());
    }
    auto device = SimDevice::enrol(address, fleet_operator.ca_pem(), *token);
    if (!device) {
      return fail(device.error());
    }
    (*device)->connect(handler);
    devices.push_back(std::move(*device));
  }
  std::vector<double> all;
  for (int round = 1; round <= rounds; ++round) {
    const auto model = fleet_operator.publish_model(
        "sim", "1.0." + std::to_string(round), "weights of round " + std::to_string(round));
    if (!model) {
      return fail(model.error());
    }
    arrivals.expect(model->target, count);
    const auto start = SteadyClock::now();
    const auto rollout = fleet_operator.roll_out(*model, static_cast<std::uint32_t>(count));
    if (!rollout) {
      return fail(rollout.error());
    }
    const auto times = arrivals.wait(start);
    if (times.size() != count || !finished(fleet_operator, rollout->rollout_id())) {
      std::fprintf(stderr, "skerry-simagent: round %d did not reach all devices\n", round);
      return 1;
    }
    all.insert(all.end(), times.begin(), times.end());
  }
  std::sort(all.begin(), all.end());
  std::printf(
      "%s desired state to %zu devices, %d rollouts: p50 %.1f ms, p99 %.1f ms, max %.1f ms\n",
      directed ? "signed" : "unsigned",
      count,
      rounds,
      percentile(all, 0.50),
      percentile(all, 0.99),
      all.back());
  return 0;
}

}  // namespace
}  // namespace skerry::sim

int main(int argc, char** argv) {
  CLI::App app{"Simulated devices for a Skerry controller.", "skerry-simagent"};
  std::string address = "127.0.0.1:8443";
  std::string bundle;
  std::size_t devices = 100;
  int rounds = 20;
  bool not_directed = false;
  app.add_option("--controller", address, "host:port")->capture_default_str();
  app.add_option("--operator", bundle, "folder with operator.crt, operator.key, ca.crt")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--devices", devices, "how many")
      ->capture_default_str()
      ->check(CLI::Range(1, 10'000));
  app.add_option("--rounds", rounds, "rollouts to measure")
      ->capture_default_str()
      ->check(CLI::Range(1, 1'000));
  app.add_flag("--unsigned", not_directed, "without a director repository");
  CLI11_PARSE(app, argc, argv);
  return skerry::sim::run(address, bundle, devices, rounds, !not_directed);
}

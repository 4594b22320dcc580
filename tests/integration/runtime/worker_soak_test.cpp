// A day of a busy gateway in seconds: what was cancelled, crashed or unloaded leaves nothing
// behind, neither in the worker nor in the process that watches it.

#include <filesystem>
#include <fstream>
#include <malloc.h>
#include <random>
#include <sstream>

#include "worker_harness.hpp"

namespace skerry::runtime::test {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;

std::string proc(int pid, const std::string& name) {
  return "/proc/" + (pid == 0 ? "self" : std::to_string(pid)) + "/" + name;
}

// Private memory: shared pages come and go with the page cache.
std::uint64_t private_memory(int pid) {
  std::ifstream rollup{proc(pid, "smaps_rollup")};
  std::uint64_t total = 0;
  for (std::string line; std::getline(rollup, line);) {
    std::istringstream words{line};
    std::string name;
    std::uint64_t kib = 0;
    words >> name >> kib;
    if (name == "Private_Dirty:") {
      total += kib << 10U;
    }
  }
  return total;
}

// How many entries a folder of /proc has: "fd", "task".
std::size_t count(int pid, const std::string& folder) {
  std::size_t entries = 0;
  for (const auto& entry : std::filesystem::directory_iterator{proc(pid, folder)}) {
    entries += entry.exists() || entry.is_symlink() ? 1 : 0;
  }
  return entries;
}

struct Footprint {
  std::uint64_t memory = 0;
  std::size_t descriptors = 0;
  std::size_t threads = 0;
};

Footprint footprint(int pid = 0) {
  if (pid == 0) {
    malloc_trim(0);
  }
  return {private_memory(pid), count(pid, "fd"), count(pid, "task")};
}

void expect_flat(const Footprint& before,
                 const Footprint& after,
                 [[maybe_unused]] std::uint64_t spare) {
  EXPECT_EQ(before.descriptors, after.descriptors);
  EXPECT_EQ(before.threads, after.threads);
#if !defined(__SANITIZE_ADDRESS__)
  // A sanitizer keeps freed memory on purpose.
  EXPECT_LE(after.memory, before.memory + spare)
      << before.memory / 1024 << " KiB before, " << after.memory / 1024 << " KiB after";
#endif
}

class WorkerSoakTest : public WorkerTest {
 protected:
  // Submits `many`, cancels each at a moment of its own, waits until all have ended.
  void cancel_wave(LoadedModel& model, int many) {
    std::vector<std::shared_ptr<Collected>> wave;
    for (int i = 0; i < many; ++i) {
      wave.push_back(start(model, prompt(model, std::string(20 + random_() % 200, 'x'))));
    }
    for (const auto& request : wave) {
      // Some at once, some once others have begun.
      if (random_() % 4 == 0) {
        run_until([&] { return !wave.front()->events.empty(); });
      }
      request->handle.cancel();
    }
    run_until([&] {
      return std::all_of(
          wave.begin(), wave.end(), [](const auto& request) { return request->ended(); });
    });
    for (const auto& request : wave) {
      ends_ += request->done() != nullptr || request->failure() != nullptr ? 1 : 0;
      const bool cancelled =
          (request->done() != nullptr && request->done()->reason == FinishReason::kCancelled) ||
          (request->failure() != nullptr &&
           request->failure()->error.code() == Error::Code::kCancelled);
      cancelled_ += cancelled ? 1 : 0;
    }
  }

  std::mt19937 random_{20260101};
  int ends_ = 0;
  int cancelled_ = 0;
};

TEST_F(WorkerSoakTest, TenThousandCancelledRequestsLeakNothing) {
  const auto model = load(null_spec());
  for (int wave = 0; wave < 20; ++wave) {
    cancel_wave(*model, 100);
  }
  const int pid = model->status().pid;
  const Footprint worker = footprint(pid);
  const Footprint own = footprint();
  for (int wave = 0; wave < 100; ++wave) {
    cancel_wave(*model, 100);
  }
  EXPECT_EQ(ends_, 12'000) << "each ends exactly once";
  EXPECT_GT(cancelled_, 6'000) << "most were cancelled before their end";
  EXPECT_EQ(model->status().in_flight, 0U);
  ASSERT_EQ(model->status().pid, pid) << "the worker lived through it";
  expect_flat(worker, footprint(pid), 2 * kMiB);
  expect_flat(own, footprint(), 4 * kMiB);
  EXPECT_TRUE(ask(*model, prompt(*model, "still here")));
}

TEST_F(WorkerSoakTest, CancelledRequestsOfARealEngineGiveTheirCellsBack) {
  const auto model = load(log_triage_spec());
  for (int wave = 0; wave < 6; ++wave) {
    cancel_wave(*model, 20);
  }
  const int pid = model->status().pid;
  const Footprint worker = footprint(pid);
  for (int wave = 0; wave < 6; ++wave) {
    cancel_wave(*model, 20);
  }
  ASSERT_EQ(model->status().pid, pid);
  expect_flat(worker, footprint(pid), 4 * kMiB);
  // A prompt that needs nearly a whole context: no cell may still be taken.
  GenerateRequest large = prompt(*model, std::string(400, 'x'));
  large.max_tokens = 4;
  const auto answer = ask(*model, std::move(large));
  EXPECT_TRUE(answer) << answer.error().to_string();
}

// One load every five minutes for 24 hours: requests, cancels, a crash now and then, unloads.
TEST_F(WorkerSoakTest, ADayOfChurnLeavesMemoryFlat) {
  SupervisorOptions options = worker_options();
  options.first_back_off = std::chrono::milliseconds{1};
  options.longest_back_off = std::chrono::milliseconds{1};
  restart(std::move(options));
  const auto cycle = [this](int number) {
    const auto model = load(null_spec({{"commands", "1"}}));
    cancel_wave(*model, 10);
    if (number % 5 == 0) {
      const auto fatal = start(*model, prompt(*model, "!abort"));
      run_until([&] { return fatal->ended(); });
      run_until([&] { return model->status().state == WorkerState::kStopped; });
      EXPECT_TRUE(ask(*model, prompt(*model, "after the crash")));
    }
    run_void(model->unload(std::chrono::milliseconds{100}));
    exits_.clear();
  };
  constexpr int kWarmUp = 48;
  constexpr int kDay = 24 * 12;
  for (int i = 0; i < kWarmUp; ++i) {
    cycle(i);
  }
  const Footprint before = footprint();
  for (int i = 0; i < kDay; ++i) {
    cycle(i);
  }
  expect_flat(before, footprint(), 2 * kMiB);
}

}  // namespace
}  // namespace skerry::runtime::test

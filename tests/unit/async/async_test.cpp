#include <stdexcept>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/system/system_error.hpp>
#include <gtest/gtest.h>

#include "skerry/async/offload.hpp"
#include "skerry/async/run_until_first_exit.hpp"
#include "skerry/async/sleep.hpp"
#include "skerry/async/task_group.hpp"

namespace skerry::async {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// Runs `task` to its end on the test's thread and returns what it threw.
std::exception_ptr run(Task<void> task) {
  asio::io_context context;
  std::exception_ptr thrown;
  asio::co_spawn(
      context, std::move(task), [&thrown](std::exception_ptr error) { thrown = std::move(error); });
  context.run();
  return thrown;
}

class Flag {
 public:
  explicit Flag(bool& flag) : flag_(flag) {}
  ~Flag() { flag_ = true; }
  Flag(const Flag&) = delete;
  Flag& operator=(const Flag&) = delete;

 private:
  bool& flag_;
};

Task<void> forever(bool& unwound) {
  const Flag flag(unwound);
  co_await sleep_for(1h);
}

Task<void> fail_at_once() {
  throw std::runtime_error("disk full");
  co_return;
}

Task<void> end_at_once() {
  co_return;
}

std::string what(const std::exception_ptr& error) {
  if (!error) {
    return "nothing";
  }
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& caught) {
    return caught.what();
  }
}

TEST(RunUntilFirstExit, RethrowsTheFailureAndUnwindsTheRest) {
  bool first = false;
  bool last = false;
  std::vector<Task<void>> tasks;
  tasks.push_back(forever(first));
  tasks.push_back(fail_at_once());
  tasks.push_back(forever(last));
  EXPECT_EQ(what(run(run_until_first_exit(std::move(tasks)))), "disk full");
  EXPECT_TRUE(first);
  EXPECT_TRUE(last);
}

TEST(RunUntilFirstExit, EndsWhenOneEnds) {
  bool unwound = false;
  std::vector<Task<void>> tasks;
  tasks.push_back(forever(unwound));
  tasks.push_back(end_at_once());
  EXPECT_EQ(what(run(run_until_first_exit(std::move(tasks)))), "nothing");
  EXPECT_TRUE(unwound);
}

Task<void> note_threads(asio::any_io_executor pool,
                        std::thread::id& worker,
                        std::thread::id& resumed,
                        int& value) {
  auto work = [&worker] {
    worker = std::this_thread::get_id();
    return 42;
  };
  value = co_await offload(pool, std::move(work));
  resumed = std::this_thread::get_id();
}

TEST(Offload, RunsOnThePoolAndResumesOnTheCallersThread) {
  asio::thread_pool pool{1};
  std::thread::id worker;
  std::thread::id resumed;
  int value = 0;
  EXPECT_EQ(what(run(note_threads(pool.get_executor(), worker, resumed, value))), "nothing");
  EXPECT_EQ(value, 42);
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_EQ(resumed, std::this_thread::get_id());
}

Task<void> offload_throwing(asio::any_io_executor pool) {
  auto work = [] { throw std::runtime_error("bad sector"); };
  co_await offload(pool, std::move(work));
}

TEST(Offload, RethrowsWhatTheWorkThrew) {
  asio::thread_pool pool{1};
  EXPECT_EQ(what(run(offload_throwing(pool.get_executor()))), "bad sector");
}

Task<void> start_and_stop(TaskGroup& group, bool& first, bool& second) {
  group.spawn("first", forever(first));
  group.spawn("second", forever(second));
  co_await sleep_for(0ns);
  co_await group.stop();
}

TEST(TaskGroup, StopCancelsAndWaits) {
  asio::io_context context;
  std::vector<std::string> errors;
  TaskGroup group{context.get_executor(),
                  [&errors](const auto& name, const auto&) { errors.push_back(name); }};
  bool first = false;
  bool second = false;
  asio::co_spawn(context, start_and_stop(group, first, second), asio::detached);
  context.run();
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(group.size(), 0U);
  EXPECT_TRUE(errors.empty()) << "cancellation is not an error";
}

TEST(TaskGroup, TellsWhatATaskThrew) {
  asio::io_context context;
  std::string told;
  TaskGroup group{context.get_executor(),
                  [&told](const auto& name, const auto& text) { told = name + ": " + text; }};
  group.spawn("writer", fail_at_once());
  context.run();
  EXPECT_EQ(told, "writer: disk full");
}

}  // namespace
}  // namespace skerry::async

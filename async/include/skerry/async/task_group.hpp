#pragma once

// Dynamic tasks with an owner: each `spawn` is counted, `stop` cancels them all and waits until the
// last has ended. Nothing is detached. Used for connections and per-slot work; all calls are made
// on the group's executor.

#include <functional>
#include <memory>
#include <string>

#include <boost/asio/any_io_executor.hpp>

#include "skerry/async/task.hpp"

namespace skerry::async {

class TaskGroup {
 public:
  // `on_error` is told what a task threw, cancellation excepted; it must not throw.
  using ErrorHandler = std::function<void(const std::string& task, const std::string& what)>;

  TaskGroup(boost::asio::any_io_executor executor, ErrorHandler on_error);
  // Aborts if tasks are still running: `stop` was forgotten.
  ~TaskGroup();
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // Starts `task`; `name` is for the error handler. Ignored (the task is destroyed unstarted) once
  // stopped.
  void spawn(std::string name, Task<void> task);
  [[nodiscard]] std::size_t size() const;
  // Cancels all tasks and waits for them. Further spawns are ignored.
  Task<void> stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace skerry::async

#pragma once

// Child processes of the bench: the controller and nginx run in their own, as they do in life.

#include <chrono>
#include <string>
#include <vector>

#include "skerry/common/result.hpp"

namespace skerry::bench {

// Ends the child by SIGTERM, and waits, when destroyed.
class Child {
 public:
  // Output goes to `log`.
  static Result<Child> start(const std::vector<std::string>& command, const std::string& log);
  Child(Child&& other) noexcept;
  Child& operator=(Child&&) = delete;
  ~Child();

 private:
  explicit Child(int pid) : pid_(pid) {}
  int pid_;
};

// Seconds that `command` took in a shell; an error if it failed.
Result<double> time_shell(const std::string& command);

// Waits until something accepts connections on 127.0.0.1:`port`.
Result<void> wait_for_port(int port, std::chrono::seconds patience);

}  // namespace skerry::bench

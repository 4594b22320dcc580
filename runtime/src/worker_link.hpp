#pragma once

// One worker process and the socket to it, on the supervisor's executor: sends messages with
// descriptors, receives messages, learns how the process ended. Private to the supervisor.

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "skerry/async/task.hpp"
#include "skerry/runtime/frame.hpp"
#include "skerry/worker/v1/worker.pb.h"

#include "spawn.hpp"

namespace skerry::runtime {

class WorkerLink : public std::enable_shared_from_this<WorkerLink> {
 public:
  WorkerLink(const boost::asio::any_io_executor& executor, SpawnedWorker worker);
  // Kills the process if it still lives.
  ~WorkerLink();
  WorkerLink(const WorkerLink&) = delete;
  WorkerLink& operator=(const WorkerLink&) = delete;

  [[nodiscard]] int pid() const { return pid_; }

  // Never blocks: what the socket does not take is kept. Descriptors are borrowed for the call.
  // kTooLarge if the message is over the frame limit.
  Result<void> send(const worker::v1::ToWorker& message, const std::vector<int>& fds = {});

  // The next message; nothing once the worker has closed its end. An error is garbage: kill it.
  Task<Result<std::optional<worker::v1::FromWorker>>> receive();
  // The descriptor that rode along with the last message; none if none did.
  [[nodiscard]] UniqueFd take_descriptor() { return std::exchange(descriptor_, UniqueFd()); }
  // Waits for the process to end. Call once.
  Task<ProcessEnd> ended();

  void signal(int number) { send_signal(process_, number); }
  // Kills the process for a reason that explains its end better than the signal does. The first
  // reason counts.
  void kill(const Error& reason);
  [[nodiscard]] const std::optional<Error>& reason() const { return reason_; }

 private:
  struct Outgoing {
    std::string bytes;
    std::size_t sent = 0;
    std::vector<UniqueFd> fds;
  };
  void flush();
  // False at the end of the stream; an error if the worker sent descriptors that it may not.
  Result<std::optional<bool>> read_some();

  int pid_;
  UniqueFd process_;
  boost::asio::posix::stream_descriptor socket_;
  boost::asio::posix::stream_descriptor exit_;
  FrameDecoder decoder_;
  std::array<std::uint8_t, 64U << 10U> read_buffer_{};
  std::deque<UniqueFd> arrived_;  // descriptors whose frames are not complete yet
  UniqueFd descriptor_;
  std::deque<Outgoing> outgoing_;
  bool writing_ = false;
  bool reaped_ = false;
  std::optional<Error> reason_;
};

}  // namespace skerry::runtime

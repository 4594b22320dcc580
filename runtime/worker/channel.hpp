#pragma once

// The worker's end of the control socket: frames and descriptors in, frames out.

#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "skerry/common/result.hpp"
#include "skerry/common/unique_fd.hpp"
#include "skerry/runtime/frame.hpp"
#include "skerry/worker/v1/worker.pb.h"

namespace skerry::runtime {

struct Received {
  worker::v1::ToWorker message;
  std::vector<UniqueFd> files;
};

class Channel {
 public:
  explicit Channel(int fd) : fd_(fd) {}

  // Blocks. Nothing at the end of the stream: the supervisor is gone. One thread.
  Result<std::optional<Received>> receive();
  // Blocks while the supervisor is slow to read. Thread-safe. Ends the process if the supervisor is
  // gone: there is nobody left to work for.
  void send(const worker::v1::FromWorker& message) { send(message, -1); }
  // A descriptor that is not -1 rides along; it stays the caller's.
  void send(const worker::v1::FromWorker& message, int descriptor);
  void send_failure(const Error& error);

 private:
  Result<bool> read_some();

  int fd_;
  FrameDecoder decoder_;
  std::deque<UniqueFd> files_;
  std::mutex send_mutex_;
};

}  // namespace skerry::runtime

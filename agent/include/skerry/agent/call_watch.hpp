#pragma once

// Whether somebody still waits for the answer of a call. A front end that answers with one message
// makes one per call and tells it when its client is gone; the service layer hangs the running
// request on it. Streams have TextSink for the same. On the control thread.

#include <utility>

#include "skerry/runtime/supervisor.hpp"

namespace skerry::agent {

class CallWatch {
 public:
  // The client went away or its deadline passed: the request, present or still to come, is
  // cancelled. Idempotent; no effect once the request has ended.
  void abandon() {
    abandoned_ = true;
    handle_.cancel();
  }
  [[nodiscard]] bool abandoned() const { return abandoned_; }
  // What the call now waits for; cancelled at once if nobody waits any more.
  void running(runtime::RequestHandle handle) {
    handle_ = std::move(handle);
    if (abandoned_) {
      handle_.cancel();
    }
  }

 private:
  runtime::RequestHandle handle_;
  bool abandoned_ = false;
};

}  // namespace skerry::agent

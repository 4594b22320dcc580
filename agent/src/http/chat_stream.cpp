#include "chat_stream.hpp"

#include <utility>

namespace skerry::agent {

void ChatStream::started(const ServedModel& model,
                         const runtime::ModelInfo&,
                         const std::string&,
                         const runtime::Started&) {
  model_ = model.name();
  started_ = true;
  changed_.notify();
}

void ChatStream::delta(std::string text, std::size_t) {
  text_ += text;
  changed_.notify();
}

void ChatStream::done(const runtime::Done& done, std::chrono::nanoseconds) {
  done_ = done;
  changed_.notify();
}

void ChatStream::failed(const Error& error, bool) {
  error_ = error;
  changed_.notify();
}

void ChatStream::submitted(runtime::RequestHandle handle) {
  handle_ = std::move(handle);
  if (abandoned_) {
    handle_.cancel();
  }
}

void ChatStream::abandon() {
  abandoned_ = true;
  handle_.cancel();
}

Task<void> ChatStream::wait(std::chrono::nanoseconds limit) {
  if (text_.empty() && !ended()) {
    co_await changed_.wait_for(limit);
  }
}

}  // namespace skerry::agent

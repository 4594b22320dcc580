#pragma once

// One thread that takes buffers in order and works on them, behind a bounded queue: what overlaps
// hashing with reading, writing and the network.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "skerry/common/bytes.hpp"
#include "skerry/common/result.hpp"

namespace skerry::registry {

// Bytes that are not zeroed first.
class Buffer {
 public:
  explicit Buffer(std::size_t capacity)
      : bytes_(std::make_unique_for_overwrite<std::uint8_t[]>(capacity)), capacity_(capacity) {}

  [[nodiscard]] std::span<std::uint8_t> space() { return {bytes_.get(), capacity_}; }
  void set_size(std::size_t size) { size_ = size; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] ByteView view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};

// push, drain and reset belong to one thread; `work` runs on the other.
class BufferWorker {
 public:
  using Work = std::function<Result<void>(std::uint64_t position, const Buffer& buffer)>;

  // At most `queue_limit` buffers wait while as many are worked on. Works inside `push` where the
  // system gives no thread.
  BufferWorker(std::size_t queue_limit, Work work);
  // Drops what is still queued.
  ~BufferWorker();
  BufferWorker(const BufferWorker&) = delete;
  BufferWorker& operator=(const BufferWorker&) = delete;

  // Blocks while the queue is full. The first error of `work` comes back from here or `drain`; from
  // then on buffers are dropped until `reset`.
  Result<void> push(std::uint64_t position, std::shared_ptr<const Buffer> buffer);
  // Waits until everything that was pushed has been worked on.
  Result<void> drain();
  // The position whose work failed.
  [[nodiscard]] std::optional<std::uint64_t> failed_position() const;
  void reset();

 private:
  struct Item {
    std::uint64_t position;
    std::shared_ptr<const Buffer> buffer;
  };
  void run();
  void finish_item(const Item& item, Result<void> result);

  const std::size_t queue_limit_;
  const Work work_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;
  bool busy_ = false;
  bool stopping_ = false;
  std::optional<Error> error_;
  std::optional<std::uint64_t> failed_position_;
  std::thread thread_;
};

}  // namespace skerry::registry

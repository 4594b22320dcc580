#pragma once

// What one request of a ModelStreamInfer stream has still to tell its client: tensors, text in
// pieces, or an error, each as the next response to write. Text that came while another was
// written is joined. Pure; KserveStream owns one per request.

#include <optional>
#include <string>
#include <string_view>

#include "skerry/common/error.hpp"

#include "inference/grpc_predict_v2.pb.h"

namespace skerry::agent {

class StreamAnswer {
 public:
  using Response = ::inference::ModelStreamInferResponse;

  // Takes the names of the request that its responses repeat.
  explicit StreamAnswer(const ::inference::ModelInferRequest& request);

  // Before any text: whether it is told in pieces or at once at the end, and whether the end is a
  // response of its own without outputs.
  void tell_text(bool pieces, bool empty_final);
  void set_version(std::string version) { version_ = std::move(version); }
  void add_text(std::string_view text) { text_ += text; }

  // One of these is the last call.
  void end_text();
  void end(::inference::ModelInferResponse tensors);
  void fail(const Error& error);
  [[nodiscard]] bool ended() const { return ended_; }

  // Text that waits to be written, in bytes.
  [[nodiscard]] std::size_t unread() const { return text_.size(); }
  // None while there is nothing to write. The last response of the request, and only it, has the
  // parameter triton_final_response true.
  std::optional<Response> next();
  // Ended, and everything was taken by `next`.
  [[nodiscard]] bool told() const { return told_; }

  // The response that says that the request failed.
  [[nodiscard]] Response failure(const Error& error) const;

 private:
  [[nodiscard]] Response blank() const;
  [[nodiscard]] Response piece(bool last);

  std::string model_;
  std::string version_;
  std::string id_;
  bool raw_ = false;
  bool pieces_ = true;
  bool empty_final_ = false;
  bool is_text_ = false;
  bool ended_ = false;
  bool told_ = false;
  std::string text_;
  // The last response, of tensors or an error.
  std::optional<Response> last_;
};

}  // namespace skerry::agent

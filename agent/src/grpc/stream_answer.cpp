#include "stream_answer.hpp"

#include <utility>

#include "kserve_config.hpp"
#include "kserve_tensors.hpp"

namespace skerry::agent {
namespace {

constexpr const char* kFinalResponse = "triton_final_response";

void mark_final(StreamAnswer::Response& response, bool last) {
  (*response.mutable_infer_response()->mutable_parameters())[kFinalResponse].set_bool_param(last);
}

}  // namespace

StreamAnswer::StreamAnswer(const ::inference::ModelInferRequest& request)
    : model_(request.model_name()),
      version_(request.model_version()),
      id_(request.id()),
      raw_(request.raw_input_contents_size() > 0) {}

void StreamAnswer::tell_text(bool pieces, bool empty_final) {
  is_text_ = true;
  pieces_ = pieces;
  empty_final_ = empty_final;
}

void StreamAnswer::end_text() {
  ended_ = true;
}

void StreamAnswer::end(::inference::ModelInferResponse tensors) {
  Response response;
  *response.mutable_infer_response() = std::move(tensors);
  mark_final(response, true);
  last_ = std::move(response);
  ended_ = true;
}

void StreamAnswer::fail(const Error& error) {
  if (!pieces_) {
    text_.clear();  // half of a text that was to come whole
  }
  last_ = failure(error);
  ended_ = true;
}

std::optional<StreamAnswer::Response> StreamAnswer::next() {
  if (told_) {
    return std::nullopt;
  }
  // Of text that ended well, the last piece is the end, unless that is to stand alone.
  const bool whole = ended_ && !last_;
  if (is_text_ && !text_.empty() && (pieces_ || ended_)) {
    told_ = whole && !empty_final_;
    return piece(told_);
  }
  if (!ended_) {
    return std::nullopt;
  }
  told_ = true;
  if (last_) {
    return std::exchange(last_, std::nullopt);
  }
  if (!empty_final_) {
    return piece(true);
  }
  Response response = blank();
  mark_final(response, true);
  return response;
}

StreamAnswer::Response StreamAnswer::failure(const Error& error) const {
  Response response;
  response.set_error_message(error.to_string());
  response.mutable_infer_response()->set_id(id_);
  mark_final(response, true);
  return response;
}

StreamAnswer::Response StreamAnswer::blank() const {
  Response response;
  ::inference::ModelInferResponse& inner = *response.mutable_infer_response();
  inner.set_model_name(model_);
  inner.set_model_version(version_);
  inner.set_id(id_);
  return response;
}

StreamAnswer::Response StreamAnswer::piece(bool last) {
  Response response = blank();
  runtime::Tensor tensor;
  tensor.name = kTextOutput;
  tensor.type = runtime::DataType::kBytes;
  tensor.shape = {1};
  const auto length = static_cast<std::uint32_t>(text_.size());
  tensor.data.assign(reinterpret_cast<const char*>(&length), sizeof length);
  tensor.data += std::exchange(text_, {});
  fill_outputs({tensor}, raw_, response.mutable_infer_response());
  mark_final(response, last);
  return response;
}

}  // namespace skerry::agent

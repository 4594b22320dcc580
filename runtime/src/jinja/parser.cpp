#include "parser.hpp"

#include <algorithm>
#include <array>

namespace skerry::runtime::jinja {
namespace {

std::string joined_ends(const std::vector<std::string_view>& ends) {
  std::string out;
  for (const std::string_view end : ends) {
    out += (out.empty() ? "" : ", ") + std::string{end};
  }
  return out;
}

}  // namespace

Parser::Deeper::Deeper(Parser& parser) : parser_(parser) {
  if (parser.depth_ >= parser.limits_.parse_depth) {
    parser.wrong("nested too deeply");
  }
  ++parser.depth_;
}

bool Parser::take(std::string_view op) {
  if (!is(op)) {
    return false;
  }
  next();
  return true;
}

bool Parser::take_word(std::string_view word) {
  if (!is_word(word)) {
    return false;
  }
  next();
  return true;
}

void Parser::expect(std::string_view op) {
  if (!take(op)) {
    wrong("\"" + std::string{op} + "\" is expected, not " + shown());
  }
}

void Parser::expect_word(std::string_view word) {
  if (!take_word(word)) {
    wrong("\"" + std::string{word} + "\" is expected, not " + shown());
  }
}

void Parser::end_tag() {
  if (peek().kind != TokenKind::kBlockEnd) {
    wrong("the end of the tag is expected, not " + shown());
  }
  next();
}

std::string Parser::name(std::string_view what) {
  if (peek().kind != TokenKind::kName) {
    wrong(std::string{what} + " is expected, not " + shown());
  }
  return next().text;
}

void Parser::wrong(std::string message) const {
  throw ParseFault{peek().line, std::move(message)};
}

std::string Parser::shown() const {
  switch (peek().kind) {
    case TokenKind::kEnd:
    case TokenKind::kData:
      return "the end of the template";
    case TokenKind::kVariableEnd:
    case TokenKind::kBlockEnd:
      return "the end of the tag";
    case TokenKind::kString:
      return "a string";
    default:
      return "\"" + peek().text.substr(0, 40) + "\"";
  }
}

void Parser::count_node() {
  if (++nodes_ > limits_.nodes) {
    wrong("more than " + std::to_string(limits_.nodes) + " parts");
  }
}

std::unique_ptr<Program> Parser::run() {
  auto program = std::make_unique<Program>();
  std::string found;
  program->body = block({}, found);
  return program;
}

Block Parser::block(const std::vector<std::string_view>& ends, std::string& found) {
  const Deeper deeper(*this);
  Block out;
  while (peek().kind != TokenKind::kEnd) {
    count_node();
    auto made = std::make_unique<Stmt>();
    made->line = peek().line;
    if (peek().kind == TokenKind::kData) {
      auto text = std::make_shared<const ChatText>(ChatText{next().text, {}});
      made->text = Value{std::move(text)};
      out.push_back(std::move(made));
      continue;
    }
    if (peek().kind == TokenKind::kVariableBegin) {
      next();
      made->kind = StmtKind::kOutput;
      made->value = expression_list();
      if (peek().kind != TokenKind::kVariableEnd) {
        wrong("the end of the tag is expected, not " + shown());
      }
      next();
      out.push_back(std::move(made));
      continue;
    }
    next();  // the begin of a block
    const std::string word = name("a statement");
    if (std::find(ends.begin(), ends.end(), word) != ends.end()) {
      found = word;
      return out;
    }
    if (word == "generation" || word == "endgeneration") {
      end_tag();  // marks the answer for training; nothing to us
      continue;
    }
    if (std::unique_ptr<Stmt> made_statement = statement(word)) {
      made_statement->line = made->line;
      out.push_back(std::move(made_statement));
    }
  }
  if (!ends.empty()) {
    wrong("the template ends before " + joined_ends(ends));
  }
  return out;
}

std::unique_ptr<Stmt> Parser::statement(const std::string& word) {
  if (word == "if") {
    return statement_if();
  }
  if (word == "for") {
    return statement_for();
  }
  if (word == "set") {
    return statement_set();
  }
  if (word == "macro" || word == "call") {
    return statement_macro(word == "call");
  }
  if (word == "filter") {
    return statement_filter();
  }
  if (word == "break" || word == "continue") {
    if (loops_ == 0) {
      wrong(word + " stands outside of a loop");
    }
    auto made = std::make_unique<Stmt>();
    made->kind = word == "break" ? StmtKind::kBreak : StmtKind::kContinue;
    end_tag();
    return made;
  }
  wrong("\"" + word.substr(0, 40) + "\" is no statement that is offered here");
}

Block Parser::body_until(std::string_view end) {
  std::string found;
  Block out = block({end}, found);
  return out;
}

std::unique_ptr<Stmt> Parser::statement_if() {
  auto made = std::make_unique<Stmt>();
  made->kind = StmtKind::kIf;
  std::string found = "if";
  while (found != "endif") {
    Branch branch;
    if (found != "else") {
      branch.condition = expression_list();
    }
    end_tag();
    const bool last = found == "else";
    branch.body = last ? block({"endif"}, found) : block({"elif", "else", "endif"}, found);
    made->branches.push_back(std::move(branch));
  }
  end_tag();
  return made;
}

std::vector<std::string> Parser::targets() {
  std::vector<std::string> out;
  const bool closed = take("(");
  do {
    std::string one = name("a variable's name");
    if (take(".")) {
      one += "." + name("a member's name");
    }
    out.push_back(std::move(one));
  } while (take(",") && peek().kind == TokenKind::kName && !is_word("in"));
  if (closed) {
    expect(")");
  }
  return out;
}

std::unique_ptr<Stmt> Parser::statement_for() {
  auto made = std::make_unique<Stmt>();
  made->kind = StmtKind::kFor;
  made->targets = targets();
  expect_word("in");
  // Without "… if …", which belongs to the loop.
  made->value = disjunction();
  if (is(",")) {
    ExprPtr list = with(make(ExprKind::kList), std::move(made->value));
    while (take(",")) {
      list = with(std::move(list), disjunction());
    }
    made->value = std::move(list);
  }
  if (take_word("if")) {
    made->condition = expression();
  }
  if (is_word("recursive")) {
    wrong("recursive loops are not offered");
  }
  end_tag();
  ++loops_;
  std::string found;
  made->body = block({"else", "endfor"}, found);
  --loops_;
  end_tag();
  if (found == "else") {
    made->otherwise = body_until("endfor");
    end_tag();
  }
  return made;
}

std::unique_ptr<Stmt> Parser::statement_set() {
  auto made = std::make_unique<Stmt>();
  made->targets = targets();
  if (take("=")) {
    made->kind = StmtKind::kSet;
    made->value = expression_list();
    end_tag();
    return made;
  }
  made->kind = StmtKind::kSetBlock;
  if (made->targets.size() != 1) {
    wrong("a block can be set to one variable only");
  }
  while (take("|")) {
    made->filters.push_back(filter(nullptr));
  }
  end_tag();
  made->body = body_until("endset");
  end_tag();
  return made;
}

std::vector<std::pair<std::string, ExprPtr>> Parser::parameters() {
  std::vector<std::pair<std::string, ExprPtr>> out;
  expect("(");
  while (!is(")")) {
    std::string parameter = name("a parameter's name");
    ExprPtr value = take("=") ? expression() : nullptr;
    out.emplace_back(std::move(parameter), std::move(value));
    if (!take(",")) {
      break;
    }
  }
  expect(")");
  return out;
}

std::unique_ptr<Stmt> Parser::statement_macro(bool call) {
  auto made = std::make_unique<Stmt>();
  made->kind = call ? StmtKind::kCall : StmtKind::kMacro;
  made->macro = std::make_unique<Macro>();
  if (call) {
    made->macro->name = "caller";
    if (is("(")) {
      made->macro->parameters = parameters();
    }
    made->value = expression();
    if (made->value->kind != ExprKind::kCall) {
      wrong("{% call needs a call of a macro");
    }
  } else {
    made->macro->name = name("a macro's name");
    made->macro->parameters = parameters();
  }
  end_tag();
  const std::size_t loops = std::exchange(loops_, 0);
  made->macro->body = body_until(call ? "endcall" : "endmacro");
  loops_ = loops;
  if (peek().kind == TokenKind::kName) {
    next();  // {% endmacro name %}
  }
  end_tag();
  return made;
}

std::unique_ptr<Stmt> Parser::statement_filter() {
  auto made = std::make_unique<Stmt>();
  made->kind = StmtKind::kFilter;
  do {
    made->filters.push_back(filter(nullptr));
  } while (take("|"));
  end_tag();
  made->body = body_until("endfilter");
  end_tag();
  return made;
}

std::unique_ptr<Program> parse_program(std::string_view source, const TemplateLimits& limits) {
  return Parser{cut(source), limits}.run();
}

}  // namespace skerry::runtime::jinja

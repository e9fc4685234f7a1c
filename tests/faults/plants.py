"""The faults that ``make planted`` plants: a piece of the source, what it becomes, who must see it.

One line of the library is changed so that one of its promises breaks, in each room at least
once. The tests are those that stand next to the promise, as few as will do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plant:
    """A fault, and the tests that must find it.

    Attributes
    ----------
    name : str
        What is wrong with the library while it is planted.
    file : str
        Where, below ``src/pavics_affinity``.
    old, new : str
        The text that is replaced, which is in the file once, and the new text.
    tests : tuple of str
        What pytest is given: files, or tests of a file, below ``tests``.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


_PIN = (
    Plant(
        "pin: a document may name a node that the site does not have",
        "pin/evidence.py",
        "if not site.knows(node):",
        "if False:",
        ("pin/test_pin.py::test_an_unknown_nodes_name_is_an_error_that_lists_the_nodes",),
    ),
    Plant(
        "pin: evidence is not checked",
        "pin/evidence.py",
        "return Seen(node, topology.evidence, value)",
        "return Seen(node)",
        ("pin/test_pin.py::test_once_pinned_the_answer_of_another_node_is_lost",),
    ),
    Plant(
        "pin: evidence that came before may be missing",
        "pin/policy.py",
        'return "lost" if e.came_before else "stripped"',
        'return "stripped"',
        ("pin/test_pin.py::test_evidence_that_came_and_is_missing_now_is_lost",),
    ),
    Plant(
        "pin: evidence is judged by site, and not by the service's URL",
        "pin/evidence.py",
        'return target.origin, match.service.name, "outputs" if match.is_output else path',
        'return "", "", ""',
        (
            "pin/test_pin.py::test_evidence_is_judged_by_the_services_url_and_outputs_may_prove_the_node",
        ),
    ),
    Plant(
        "transport: a security proxy's words for a dead node are taken for the service's",
        "transport/wire.py",
        'status = 502 if found["failed"]',
        'status = None if found["failed"]',
        (
            "transport/test_session.py::test_a_dead_node_in_the_words_of_a_security_proxy_is_not_the_services_answer",
        ),
    ),
    Plant(
        "pin: a wrong node is accepted by strict=True",
        "pin/evidence.py",
        "        if self._strict:\n",
        "        if not self._strict:\n",
        (
            "pin/test_pin.py::test_a_reference_that_names_another_node_than_the_one_asked_for_is_lost",
        ),
    ),
    Plant(
        "pin: a pinned workflow moves to the node that answered",
        "pin/policy.py",
        'firm = e.was_pinned or e.hold != "free" or moved',
        "firm = False",
        ("transport/test_session.py::test_an_answer_of_another_node_is_never_a_result",),
    ),
    Plant(
        "pin: it begins with the answer to the first Execute, and not when that leaves",
        "pin/site.py",
        'return self.hold != "free" or self.executes_under_way > 0',
        'return self.hold != "free"',
        (
            "transport/test_execute_under_way.py::test_while_the_first_execute_runs_another_thread_does_not_move_the_workflow",
        ),
    ),
    Plant(
        "pin: a strict workflow leaves a dead node",
        "pin/pin.py",
        "if self.strict or site is None or not site.pinned or not site.abandon(target):",
        "if site is None or not site.pinned or not site.abandon(target):",
        ("pin/test_pin.py::test_a_strict_workflow_never_leaves_its_node",),
    ),
    Plant(
        "pin: the direct route steps down from https",
        "pin/pin.py",
        'return not (public.scheme == "https" and origin.scheme == "http")',
        "return True",
        ("pin/test_pin.py::test_the_node_itself_is_asked_only_without_a_step_down_from_https",),
    ),
    Plant(
        "pin: the id is sent to a host out of scope, also on a redirect",
        "pin/pin.py",
        "            return Target(url, origin=origin, execute=execute)\n",
        "            return Target(url, self.header, self.machineid, execute=execute)\n",
        (
            "transport/test_session.py::test_a_redirect_carries_the_machineid_only_to_hosts_in_scope",
        ),
    ),
    Plant(
        "pin: the key in a link is percent-escaped",
        "protocol.py",
        "{PATH_PREFIX}{key}{parts.path",
        "{PATH_PREFIX}{key.replace('~', '%7E')}{parts.path",
        ("clients/test_references.py::test_the_query_of_a_link_is_kept_and_an_older_key_replaced",),
    ),
)

_TRANSPORT = (
    Plant(
        "transport: an Execute is repeated after a lost answer",
        "pin/policy.py",
        "if not fault.not_sent and s.execute:",
        "if False:",
        (
            "transport/test_session.py::test_an_execute_that_is_cut_off_is_sent_once_and_its_outcome_unknown",
        ),
    ),
    Plant(
        "transport: an Execute is repeated behind a proxy of the environment",
        "transport/faults.py",
        "_NO_CONNECTION = (NewConnectionError, ConnectTimeoutError, ClosedPoolError)",
        "_NO_CONNECTION = (NewConnectionError, ConnectTimeoutError, ClosedPoolError, ProxyError)",
        ("transport/test_faults.py::test_an_execute_whose_answer_a_proxy_loses_is_sent_once",),
    ),
    Plant(
        "transport: an Execute leaves on a connection that the server may be closing",
        "transport/exchange.py",
        "fresh=self.execute,",
        "fresh=False,",
        (
            "transport/test_session.py::test_an_execute_never_meets_a_connection_that_the_server_is_closing",
        ),
    ),
    Plant(
        "transport: silence of a strict proxy about the node means that nothing ran",
        "transport/exchange.py",
        'return bool(connected) and not connected.strip("-, :")',
        'return not connected.strip("-, :")',
        (
            "transport/test_exchange.py::test_an_execute_is_sent_again_only_where_a_strict_proxy_says_that_it_reached_no_node",
        ),
    ),
    Plant(
        "transport: an Execute that a 303 answers is made a GET of its result",
        "pin/policy.py",
        "TURNED_INTO_GET = frozenset({301, 302, SEE_OTHER})",
        "TURNED_INTO_GET = frozenset({301, 302})",
        (
            "transport/test_execute_under_way.py::test_a_request_of_the_session_that_was_redirected_may_have_run_and_pins_the_workflow",
        ),
    ),
    Plant(
        "transport: a 303 is taken for a sign that nothing ran",
        "pin/policy.py",
        "return outcome.status in _REFUSED or outcome.leaves_scope or outcome.not_reached",
        "return outcome.status in {*_REFUSED, SEE_OTHER} or outcome.leaves_scope",
        (
            "transport/test_execute_under_way.py::test_a_request_of_the_session_that_was_redirected_may_have_run_and_pins_the_workflow",
        ),
    ),
    Plant(
        "transport: an error says 'Nothing was executed' for a job that runs",
        "transport/messages.py",
        '". Running jobs and files are unaffected: ask again when it is back"',
        '". Nothing was executed"',
        ("clients/http/test_urls.py::test_a_job_behind_an_unreachable_plain_proxy_may_have_run",),
    ),
    Plant(
        "transport: a 503 that may stand for a lost node is taken for a full queue",
        "pin/policy.py",
        "answer.status == 503 and answer.wait is not None and not answer.may_be_lost",
        "answer.status == 503",
        ("transport/test_exchange.py::test_an_execute_answered_by_another_503_stays_unknown",),
    ),
    Plant(
        "transport: Retry-After is not obeyed",
        "transport/exchange.py",
        "self.patience.wait(decision.wait)",
        "self.patience.wait(0.0)",
        ("transport/test_exchange.py::test_a_harmless_request_waits_as_long_as_it_is_asked_to",),
    ),
    Plant(
        "transport: an error keeps its connection open",
        "transport/exchange.py",
        "            self._drop_response()\n            self._step_broke_off(raised)\n",
        "            self._step_broke_off(raised)\n",
        (
            "transport/test_connections.py::test_no_connection_outlives_the_workflow_whatever_error_is_kept",
        ),
    ),
    Plant(
        "transport: credentials of https go to a node in clear",
        "transport/wire.py",
        'if secret and public and actual and public.scheme == "https" != actual.scheme:',
        "if False:",
        ("test_authentication.py::test_credentials_do_not_leave_tls_for_a_node_that_speaks_none",),
    ),
    Plant(
        "transport: an answer that is cut in its headers is accepted",
        "transport/connections.py",
        '        if lines:\n            raise BrokenHead(_CUT)\n        return b""\n',
        '        return b"".join(lines)\n',
        (
            "transport/test_connections.py::test_an_answer_that_is_cut_anywhere_is_repeated_or_of_unknown_outcome[direct]",
        ),
    ),
    Plant(
        "transport: headers may drip beyond the read time-out",
        "transport/connections.py",
        "            left = self._end - time.monotonic()\n",
        "            left = self._timeout or 0\n",
        (
            "transport/test_connections.py::test_a_beginning_that_drips_ends_with_the_read_timeout[headers]",
        ),
    ),
    Plant(
        "transport: an inner deadline is ignored",
        "record/requests.py",
        "return usual if self.deadline is None else min(usual, self.deadline)",
        "return usual",
        (
            "transport/test_times.py::test_the_innermost_deadline_holds_and_never_prolongs_the_usual_one",
        ),
    ),
    Plant(
        "transport: a login goes along to another origin",
        "transport/session.py",
        "return old is None or (old != new and not is_upgrade(old_url, new_url))",
        "return False",
        ("transport/test_credentials.py::test_a_login_goes_nowhere_else",),
    ),
    Plant(
        "transport: headers of the session are sent to hosts out of scope",
        "transport/session.py",
        "withheld = {n: None for n in self.headers if n.lower() not in NEUTRAL_HEADERS}",
        "withheld: dict[str, None] = {}",
        ("test_authentication.py::test_what_is_set_on_the_session_goes_to_hosts_in_scope_only",),
    ),
    Plant(
        "transport: a cookie goes to hosts below the one that set it",
        "transport/credentials.py",
        "else host == home",
        "else host.endswith(home)",
        (
            "transport/test_credentials.py::test_a_cookie_goes_to_the_host_that_set_it_and_below_it_only_with_a_domain",
        ),
    ),
    Plant(
        "transport: a URL is sent without having been checked",
        "transport/session.py",
        'url = request.url = checked_url(url, "the request")',
        "request.url = url",
        (
            "test_hostile_servers.py::test_a_url_that_cannot_be_asked_for_is_our_error_at_every_door",
        ),
    ),
    Plant(
        "transport: the repr of an origin's settings shows the login",
        "transport/credentials.py",
        'return f"OriginSettings(verify={self.verify!r})"',
        'return f"OriginSettings(auth={self.auth!r}, verify={self.verify!r})"',
        ("transport/test_credentials.py::test_settings_of_an_origin_show_no_secret",),
    ),
    Plant(
        "transport: a forked process uses its parent's connections",
        "transport/exchange.py",
        "if self._process != os.getpid():",
        "if False:",
        ("transport/test_session.py::test_a_fork_gets_its_own_connections",),
    ),
)

_CLIENTS = (
    Plant(
        "wps: an answer that may be cut is taken for the result",
        "clients/http/sending.py",
        "if is_xml and answer.may_be_cut:",
        "if False:",
        ("clients/wps/test_submission.py",),
    ),
    Plant(
        "wps: an Execute that the service ran, and that failed, is sent again",
        "clients/http/sending.py",
        "error, ran=True)",
        "error, ran=False)",
        ("clients/wps/test_submission.py::test_only_what_a_busy_server_refused_is_sent_again",),
    ),
    Plant(
        "wps: each exception of a service is taken for a full queue",
        "clients/http/answers.py",
        'if said is not None and said.code == "ServerBusy" else None',
        "if said is not None else None",
        ("clients/wps/test_submission.py::test_only_what_a_busy_server_refused_is_sent_again",),
    ),
    Plant(
        "wps: a status that WPS does not have is waited for",
        "clients/wps/execution.py",
        "if self.status not in _STATES:",
        "if False:",
        (
            "clients/wps/test_execution.py::test_a_state_that_wps_does_not_have_is_an_error_that_quotes_it_and_no_wait",
        ),
    ),
    Plant(
        "wps: a status document may trickle beyond the wait's end",
        "clients/http/waiting.py",
        "until = time.monotonic() + bound",
        "until = None",
        (
            "clients/wps/test_execution.py::test_a_server_that_trickles_cannot_hold_the_wait_beyond_its_deadline",
        ),
    ),
    Plant(
        "ogc: an unknown word for a job's state is taken for 'running'",
        "clients/ogcapi/answers.py",
        'return _STATES.get(plain) or _STATES.get(plain.removeprefix("process"))',
        'return _STATES.get(plain) or _STATES.get(plain.removeprefix("process")) or "running"',
        ("clients/ogcapi/test_answers.py::test_other_words_are_not_guessed_at",),
    ),
    Plant(
        "ogc: an accepted job is taken for the results",
        "clients/ogcapi/answers.py",
        "if answer.status == 202 or (answer.status == 201 and addressed):",
        "if False:",
        ("clients/ogcapi/test_answers.py",),
    ),
    Plant(
        "birdy: an output of an earlier step leaves as it is through a plain proxy",
        "clients/birdy/client.py",
        "bound.arguments[argument] = as_input(service.session, name, value, rule)",
        "bound.arguments[argument] = value",
        (
            "clients/test_own_urls.py::test_no_url_of_a_service_leaves_through_a_plain_proxy[wps-sync-list]",
        ),
    ),
    Plant(
        "references: a URL of the workflow's own leaves through a plain proxy",
        "clients/references.py",
        "if pin.node_of_url(url) is None and not pin.is_local(url):",
        "if True:",
        (
            "clients/test_own_urls.py::test_no_url_of_a_service_leaves_through_a_plain_proxy[wps-sync-list]",
        ),
    ),
    Plant(
        "references: URLs inside of a text are not looked at",
        "clients/references.py",
        "text = re.sub(_URL, lambda found: handed(found[0]), text)",
        "pass",
        (
            "clients/test_own_urls.py::test_no_url_of_a_service_leaves_through_a_plain_proxy[wps-sync-list]",
        ),
    ),
    Plant(
        "outputs: a partial file is kept under the final name",
        "clients/outputs/download.py",
        "        beside.unlink(missing_ok=True)\n",
        "        if beside.exists():\n            beside.replace(path)\n",
        ("clients/outputs/test_output.py::test_a_download_that_breaks_every_time_leaves_nothing",),
    ),
    Plant(
        "outputs: a file shorter than its stated length is accepted",
        "clients/outputs/transfer.py",
        "if self.total is not None and self.offset != self.total:",
        "if False:",
        ("clients/outputs/test_output.py::test_a_server_may_give_the_rest_in_parts",),
    ),
    Plant(
        "outputs: a range from elsewhere is pasted in",
        "clients/outputs/transfer.py",
        "if match is None or int(match[1]) != self.offset:",
        "if match is None:",
        ("clients/outputs/test_output.py::test_a_range_from_elsewhere_is_not_pasted_in",),
    ),
    Plant(
        "outputs: an error page is taken for the output",
        "clients/outputs/transfer.py",
        "if response.status_code not in (200, 203) and not partial:",
        "if False:",
        ("clients/outputs/test_output.py::test_an_error_page_is_not_taken_for_an_output",),
    ),
    Plant(
        "metalink: a file of another checksum is accepted",
        "clients/outputs/resource.py",
        "if hashed is not None and hashed.hexdigest() != self.digest:",
        "if False:",
        ("clients/outputs/test_output.py::test_a_file_that_differs_from_its_metalink_is_refused",),
    ),
    Plant(
        "metalink: the weakest of the checksums is compared",
        "clients/outputs/metalink.py",
        "next((name for name in _ALGORITHMS if stated.get(name)), None)",
        "next((name for name in reversed(_ALGORITHMS) if stated.get(name)), None)",
        (
            "clients/outputs/test_output.py::test_a_file_is_what_its_metalink_says_also_in_pieces[3]",
        ),
    ),
    Plant(
        "names: a name with ../ leads out of the directory",
        "clients/outputs/names.py",
        '    name = re.split(r"[/\\\\]", name)[-1]\n',
        "",
        ("clients/outputs/test_names.py::test_hostile_names_become_harmless",),
    ),
    Plant(
        "limits: a tree of any size is built",
        "clients/limits.py",
        'if nodes <= most and document.count(b"=") <= most:',
        "if True:",
        (
            "clients/test_limits.py::test_more_than_the_limit_is_refused_before_there_is_a_tree[parse-elements]",
        ),
    ),
    Plant(
        "urls: a URL of a document is taken as it is",
        "clients/http/urls.py",
        "return checked_url(absolute, what)",
        "return str(absolute)",
        (
            "clients/wps/test_execution.py::test_a_status_location_that_is_not_a_web_address_is_not_asked",
        ),
    ),
    Plant(
        "local: a service elsewhere names files of this machine",
        "clients/outputs/local.py",
        'if scheme.lower() != "file" or not _is_this_machine(service):',
        'if scheme.lower() != "file":',
        (
            "clients/outputs/test_local.py::test_a_service_elsewhere_cannot_name_a_file_of_this_machine",
        ),
    ),
)

_JOURNAL = (
    Plant(
        "journal: a line may be lost with the power",
        "journal/lines.py",
        "                os.fsync(self._descriptor)\n",
        "",
        ("journal/test_lines.py::test_each_line_is_on_the_disk_before_the_program_continues",),
    ),
    Plant(
        "journal: its lock is gone, and two processes write it",
        "journal/lines.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ("journal/test_lines.py::test_a_second_writer_learns_which_process_is_the_first",),
    ),
    Plant(
        "journal: tokens are written down",
        "journal/secrets.py",
        "if not re.search(_SENSITIVE, k) and not re.match(_JWT, v)]",
        "]",
        ("journal/test_secrets.py",),
    ),
    Plant(
        "resume: a replay sends a step again whose outcome is unknown",
        "record/steps.py",
        'if replay and step.state not in ("not sent", "refused", "failed"):',
        'if replay and step.state not in ("not sent", "refused", "failed", "unknown"):',
        ("record/test_steps.py",),
    ),
    Plant(
        "resume: there is no warning about an Execute that may have run",
        "resuming.py",
        "    if unknown and not replay:\n",
        "    if False:\n",
        ("journal/test_resume.py::test_steps_that_may_have_run_are_named_and_never_sent_again",),
    ),
    Plant(
        "resume: the node of what ran is forgotten",
        "journal/workflow.py",
        "            if step.ran and step.node is not None:\n                return step.node\n",
        "            pass\n",
        ("journal/test_workflow.py::test_the_node_is_that_of_the_first_step_that_may_have_run",),
    ),
)

_RECORD = (
    Plant(
        "record: one result of an earlier process answers every Execute that is like it",
        "record/steps.py",
        "return waiting.popleft() if waiting else None",
        "return waiting[0] if waiting else None",
        ("record/test_steps.py",),
    ),
    Plant(
        "record: requests that were dropped are not counted",
        "record/requests.py",
        "            self._seen += 1\n",
        "            self._seen = len(self._entries)\n",
        ("record/test_requests.py::test_the_oldest_are_dropped_and_counted",),
    ),
)

_BATCH = (
    Plant(
        "batch: a chain that has executed something starts again",
        "batch/intake.py",
        "if not ran and self.unexecuted:",
        "if self.unexecuted:",
        (
            "batch/test_lost_nodes.py::test_a_chain_that_executed_something_fails_with_its_node_unless_it_may_repeat",
        ),
    ),
    Plant(
        "batch: an item that is finished runs a second time",
        "batch/journal.py",
        "finished = self._finished.pop(work.key, None)",
        "finished = None",
        ("batch/test_damaged.py",),
    ),
    Plant(
        "batch: a node is given more than its share",
        "batch/scheduler.py",
        "free = [node for node in weights if self._unfinished[node] < self.per_node]",
        "free = list(weights)",
        ("batch/test_scheduler.py",),
    ),
)

_SITE = (
    Plant(
        "discovery: what a proxy says of other hosts is believed",
        "discovery/document.py",
        "return origin.host == self._origin.host and not downgraded",
        "return not downgraded",
        ("test_discovery.py::test_what_it_says_of_other_hosts_is_not_believed",),
    ),
    Plant(
        "discovery: silence is taken for a refusal",
        "discovery/finder.py",
        "return _Entry(found, self._clock(), silent + 1)",
        "return _Entry(None, self._clock())",
        ("test_discovery.py::test_a_proxy_that_does_not_answer_is_asked_again_soon",),
    ),
    Plant(
        "discovery: its lock is gone, and each thread asks the proxy",
        "discovery/finder.py",
        "        with asking:\n",
        "        if asking:\n",
        ("test_discovery.py::test_a_proxy_is_asked_once_for_all_workflows_and_threads",),
    ),
    Plant(
        "topology: a look-alike of a path belongs to the service",
        "topology/matching.py",
        'if len(path) == length or path[length : length + 1] == "/":',
        "if len(path) >= length:",
        ("topology/test_matching.py",),
    ),
    Plant(
        "topology: a host with a final dot is another host",
        "topology/urls.py",
        'return host.removesuffix(".").lower()',
        "return host.lower()",
        ("topology/test_urls.py",),
    ),
    Plant(
        "placement: 15 bits of the checksum instead of 16 are left out",
        "placement/nginx.py",
        "address = self._cells[(crc32(data) >> 16 & 0x7FFF) % self._modulus]",
        "address = self._cells[(crc32(data) >> 15 & 0x7FFF) % self._modulus]",
        ("placement/test_nginx.py::test_every_recorded_placement_is_equal",),
    ),
    Plant(
        "placement: a server that is down loses its share of the hash values",
        "placement/nginx.py",
        "self._bounds = list(accumulate(peer.server.weight for peer in self._peers))",
        "self._peers = [peer for i, peer in enumerate(self._peers) if i in self._live]\n"
        "        self._live = list(range(len(self._peers)))\n"
        "        self._bounds = list(accumulate(peer.server.weight for peer in self._peers))",
        ("placement/test_nginx.py::test_every_recorded_placement_is_equal",),
    ),
    Plant(
        "placement: the ring counts fewer points",
        "placement/nginx.py",
        "POINTS_PER_WEIGHT = 160",
        "POINTS_PER_WEIGHT = 159",
        ("placement/test_nginx.py::test_each_server_has_160_points_per_weight",),
    ),
    Plant(
        "placement: steering gives the key after the one that leads there",
        "placement/steering.py",
        'return machineid if number == 0 else f"{machineid}~{number}"',
        'return machineid if number == 0 else f"{machineid}~{number + 1}"',
        ("placement/test_steering.py",),
    ),
)

_PROXY = (
    Plant(
        "check: sticky is passed over",
        "proxy/nginx/upstreams.py",
        "return next((line for line in self.statement.block if line.name in STICKY), None)",
        "return None",
        ("proxy/check/test_unjudged.py::test_sticky_decides_before_any_method",),
    ),
    Plant(
        "check: a stream upstream is passed over",
        "proxy/check/streams.py",
        "if name not in only_udp and (upstream.chooses(site.resolve) or upstream.balancer):",
        "if False:",
        ("proxy/check/test_streams.py",),
    ),
    Plant(
        "check: a missing max_fails=0 is passed over",
        "proxy/check/failover.py",
        "        if counting:\n",
        "        if False:\n",
        (
            "proxy/check/test_findings.py::test_the_plain_style_has_no_error_and_each_warning_once_per_service",
        ),
    ),
    Plant(
        "brief: what the error came from is lost",
        "brief.py",
        "error.__context__, error.__cause__ = error.__cause__, None",
        "error.__context__, error.__cause__ = None, None",
        ("test_brief.py::test_what_the_error_came_from_is_kept",),
    ),
    Plant(
        "render: proxy_next_upstream off is forgotten",
        "proxy/render/strict.py",
        '"proxy_next_upstream off;",\n',
        "",
        ("proxy/check/test_findings.py::test_rendered_strict_files_have_no_findings",),
    ),
    Plant(
        "render: max_fails=0 is forgotten",
        "proxy/render/strict.py",
        'line + " max_fails=0"',
        "line",
        ("proxy/check/test_findings.py::test_rendered_strict_files_have_no_findings",),
    ),
    Plant(
        "render: a node that the proxy does not know is asked by the hash",
        "proxy/render/strict.py",
        """        f'  "~[~]{NODE_NAME}$" {_UNKNOWN};',\n""",
        "",
        ("proxy/test_render.py::test_a_node_that_is_not_there_is_answered_421",),
    ),
    Plant(
        "read: a session that decides before the hash is not refused",
        "proxy/read.py",
        "    if (sticky := upstream.sticky) is not None:\n",
        "    if (sticky := None) is not None:\n",
        (
            "proxy/nginx/test_parsing.py::test_read_nginx_refuses_what_makes_the_hash_decide_nothing",
        ),
    ),
    Plant(
        "read: the first of several hashes holds",
        "proxy/nginx/upstreams.py",
        "            hashed = parse_hash(_quoted(line))\n",
        "            hashed = parse_hash(_quoted(line))\n            break\n",
        ("proxy/test_read.py::test_the_last_of_several_hashes_decides_as_in_nginx",),
    ),
)

_PEOPLE = (
    Plant(
        "markup: escapes reach the terminal",
        "markup/__init__.py",
        "unicodedata.category(c) in _INVISIBLE else c",
        "not c else c",
        ("markup/test_html.py::test_characters_that_steer_are_shown_as_such",),
    ),
    Plant(
        "markup: text is not escaped in HTML",
        "markup/html.py",
        "words = escape(part.text)",
        "words = part.text",
        ("markup/test_html.py::test_text_is_escaped_wherever_it_stands",),
    ),
    Plant(
        "markup: a password in a URL is shown",
        "markup/__init__.py",
        r'return re.sub(_LOGIN, r"\1", text)',
        "return text",
        ("markup/test_html.py::test_no_password_is_shown",),
    ),
    Plant(
        "workflow: the end of a block leaves it in force",
        "workflow.py",
        "reset_session(self._tokens.pop())",
        "self._tokens.pop()",
        ("test_workflow.py::test_the_innermost_block_is_current",),
    ),
    Plant(
        "workflow: the end of a block leaves its connections open",
        "workflow.py",
        "        if not self._tokens:\n            self.close()\n",
        "",
        ("test_workflow.py::test_a_block_ends_the_workflow_and_later_use_says_so",),
    ),
)

PLANTS = (*_PIN, *_TRANSPORT, *_CLIENTS, *_JOURNAL, *_RECORD, *_BATCH, *_SITE, *_PROXY, *_PEOPLE)

-- Views: what people ask of the tables again and again. Schema version 3.

CREATE VIEW machine_telemetry AS
SELECT t.run_id, coalesce(r.machine, m.name) AS machine, coalesce(r.machine_type, m.machine_type) AS machine_type,
    t.* EXCLUDE (run_id)
FROM telemetry t LEFT JOIN run_machines r USING (run_id, machine_id) LEFT JOIN machines m USING (machine_id);
COMMENT ON VIEW machine_telemetry IS 'Telemetry with the names of the machines';
COMMENT ON COLUMN machine_telemetry.run_id IS 'The run, in runs';
COMMENT ON COLUMN machine_telemetry.machine IS 'Name of the machine';
COMMENT ON COLUMN machine_telemetry.machine_type IS 'Name of its type, in machine_types';
COMMENT ON COLUMN machine_telemetry.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN machine_telemetry.ts IS 'Time of the reading, UTC';
COMMENT ON COLUMN machine_telemetry.temperature_c IS 'Temperature of the housing, C';
COMMENT ON COLUMN machine_telemetry.vibration_g IS 'Vibration: RMS of the acceleration, g';
COMMENT ON COLUMN machine_telemetry.vibration_mm_s IS 'Vibration: RMS of the velocity (10 to 1000 Hz), mm/s';
COMMENT ON COLUMN machine_telemetry.kurtosis IS 'Kurtosis of the acceleration, 3 for a healthy bearing, no unit';
COMMENT ON COLUMN machine_telemetry.power_w IS 'Electrical power, W';
COMMENT ON COLUMN machine_telemetry.current_a IS 'Supply current, A';
COMMENT ON COLUMN machine_telemetry.speed_rpm IS 'Speed of the shaft, rpm';
COMMENT ON COLUMN machine_telemetry.torque_nm IS 'Torque at the shaft, N m';

CREATE VIEW active_scenarios AS
SELECT a.activation_id, s.name AS scenario, s.priority, a.machine_id, m.name AS machine, a.start_at, a.end_at
FROM scenario_activations a JOIN scenarios s USING (scenario_id) JOIN machines m USING (machine_id);
COMMENT ON VIEW active_scenarios IS 'Activations with the names of scenarios and machines';
COMMENT ON COLUMN active_scenarios.activation_id IS 'Number of the activation';
COMMENT ON COLUMN active_scenarios.scenario IS 'Name of the scenario';
COMMENT ON COLUMN active_scenarios.priority IS 'Where active scenarios set the same input, the highest priority wins; 0 to 100';
COMMENT ON COLUMN active_scenarios.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN active_scenarios.machine IS 'Name of the machine';
COMMENT ON COLUMN active_scenarios.start_at IS 'From when, UTC';
COMMENT ON COLUMN active_scenarios.end_at IS 'Until when (not included), UTC; NULL while open-ended';

CREATE VIEW active_failures AS
SELECT i.injection_id, f.name AS failure_mode, f.category, i.machine_id, m.name AS machine, i.severity, i.level,
    i.progression, i.time_to_failure_h, i.start_at, i.end_at
FROM failure_injections i JOIN failure_modes f USING (failure_mode_id) JOIN machines m USING (machine_id);
COMMENT ON VIEW active_failures IS 'Injected failures with the names of failure modes and machines';
COMMENT ON COLUMN active_failures.injection_id IS 'Number of the injection';
COMMENT ON COLUMN active_failures.failure_mode IS 'Name of the failure mode';
COMMENT ON COLUMN active_failures.category IS 'What kind of part it concerns';
COMMENT ON COLUMN active_failures.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN active_failures.machine IS 'Name of the machine';
COMMENT ON COLUMN active_failures.severity IS 'How bad, in words';
COMMENT ON COLUMN active_failures.level IS 'How bad, as damage from 0 (new) to 1 (functional failure)';
COMMENT ON COLUMN active_failures.progression IS 'Whether the damage holds its level or grows';
COMMENT ON COLUMN active_failures.time_to_failure_h IS 'Hours until functional failure, for progressive damage; NULL otherwise';
COMMENT ON COLUMN active_failures.start_at IS 'From when, UTC';
COMMENT ON COLUMN active_failures.end_at IS 'Until when (not included), UTC; NULL while open-ended';

CREATE VIEW conditions AS
SELECT 'scenario' AS kind, activation_id AS id, scenario AS name, machine_id, machine, NULL::DOUBLE AS level, start_at,
    end_at
FROM active_scenarios
UNION ALL
SELECT 'failure', injection_id, failure_mode, machine_id, machine, level, start_at, end_at
FROM active_failures;
COMMENT ON VIEW conditions IS 'All that acts on the machines, and when: scenarios and injected failures';
COMMENT ON COLUMN conditions.kind IS 'Whether it is a scenario or a failure';
COMMENT ON COLUMN conditions.id IS 'Number of the activation or injection';
COMMENT ON COLUMN conditions.name IS 'Name of the scenario or failure mode';
COMMENT ON COLUMN conditions.machine_id IS 'The machine, in machines';
COMMENT ON COLUMN conditions.machine IS 'Name of the machine';
COMMENT ON COLUMN conditions.level IS 'Damage from 0 to 1; NULL for a scenario';
COMMENT ON COLUMN conditions.start_at IS 'From when, UTC';
COMMENT ON COLUMN conditions.end_at IS 'Until when (not included), UTC; NULL while open-ended';

CREATE VIEW tasks AS
SELECT k.task_id, m.name AS machine, k.task_type, k.action, k.scheduled_at, k.duration_min, k.priority, k.status,
    k.technician_id, t.name AS technician, k.cost, k.notes, k.machine_id
FROM maintenance_tasks k JOIN machines m USING (machine_id) LEFT JOIN technicians t USING (technician_id);
COMMENT ON VIEW tasks IS 'Maintenance tasks with the names of machines and technicians';
COMMENT ON COLUMN tasks.task_id IS 'Number of the task';
COMMENT ON COLUMN tasks.machine IS 'Name of the machine';
COMMENT ON COLUMN tasks.task_type IS 'Why: before a failure, after it, or on a prediction';
COMMENT ON COLUMN tasks.action IS 'What is to be done, in maintenance_actions';
COMMENT ON COLUMN tasks.scheduled_at IS 'When the work is to begin, UTC';
COMMENT ON COLUMN tasks.duration_min IS 'Planned working time, min';
COMMENT ON COLUMN tasks.priority IS 'How urgent it is';
COMMENT ON COLUMN tasks.status IS 'How far it is';
COMMENT ON COLUMN tasks.technician_id IS 'Who does it, in technicians; NULL while not assigned';
COMMENT ON COLUMN tasks.technician IS 'Name of the technician; NULL while not assigned';
COMMENT ON COLUMN tasks.cost IS 'Planned cost, in the currency of the plant';
COMMENT ON COLUMN tasks.notes IS 'What else is to be known';
COMMENT ON COLUMN tasks.machine_id IS 'The machine, in machines';

-- The shape that courses on predictive maintenance use: five tables joined by machineID and datetime.

CREATE VIEW five_telemetry AS
SELECT run_id, ts AS datetime, machine_id AS machineID, temperature_c, vibration_g, vibration_mm_s, kurtosis, power_w,
    current_a, speed_rpm, torque_nm
FROM telemetry;
COMMENT ON VIEW five_telemetry IS 'Readings, in the five-table shape';
COMMENT ON COLUMN five_telemetry.run_id IS 'The run, in runs';
COMMENT ON COLUMN five_telemetry.datetime IS 'Time of the reading, UTC';
COMMENT ON COLUMN five_telemetry.machineID IS 'The machine, in machines';
COMMENT ON COLUMN five_telemetry.temperature_c IS 'Temperature of the housing, C';
COMMENT ON COLUMN five_telemetry.vibration_g IS 'Vibration: RMS of the acceleration, g';
COMMENT ON COLUMN five_telemetry.vibration_mm_s IS 'Vibration: RMS of the velocity (10 to 1000 Hz), mm/s';
COMMENT ON COLUMN five_telemetry.kurtosis IS 'Kurtosis of the acceleration, 3 for a healthy bearing, no unit';
COMMENT ON COLUMN five_telemetry.power_w IS 'Electrical power, W';
COMMENT ON COLUMN five_telemetry.current_a IS 'Supply current, A';
COMMENT ON COLUMN five_telemetry.speed_rpm IS 'Speed of the shaft, rpm';
COMMENT ON COLUMN five_telemetry.torque_nm IS 'Torque at the shaft, N m';

CREATE VIEW five_errors AS
SELECT run_id, ts AS datetime, machine_id AS machineID, code AS errorID FROM alarms;
COMMENT ON VIEW five_errors IS 'What the control systems reported, in the five-table shape';
COMMENT ON COLUMN five_errors.run_id IS 'The run, in runs';
COMMENT ON COLUMN five_errors.datetime IS 'When, UTC';
COMMENT ON COLUMN five_errors.machineID IS 'The machine, in machines';
COMMENT ON COLUMN five_errors.errorID IS 'Error code';

CREATE VIEW five_maint AS
SELECT run_id, start_at AS datetime, machine_id AS machineID, action AS comp FROM maintenance_log;
COMMENT ON VIEW five_maint IS 'Work that was done, in the five-table shape';
COMMENT ON COLUMN five_maint.run_id IS 'The run, in runs';
COMMENT ON COLUMN five_maint.datetime IS 'When the work began, UTC';
COMMENT ON COLUMN five_maint.machineID IS 'The machine, in machines';
COMMENT ON COLUMN five_maint.comp IS 'What was done';

CREATE VIEW five_failures AS
SELECT run_id, failed_at AS datetime, machine_id AS machineID, mode AS failure FROM failures;
COMMENT ON VIEW five_failures IS 'Functional failures, in the five-table shape';
COMMENT ON COLUMN five_failures.run_id IS 'The run, in runs';
COMMENT ON COLUMN five_failures.datetime IS 'When, UTC';
COMMENT ON COLUMN five_failures.machineID IS 'The machine, in machines';
COMMENT ON COLUMN five_failures.failure IS 'Name of the failure mode';

CREATE VIEW five_machines AS
SELECT machine_id AS machineID, machine_type AS model,
    date_diff('year', commissioned_at, (SELECT max(start_at) FROM runs)) AS age
FROM machines;
COMMENT ON VIEW five_machines IS 'Machines with type and age in years at the newest run, in the five-table shape';
COMMENT ON COLUMN five_machines.machineID IS 'The machine, in machines';
COMMENT ON COLUMN five_machines.model IS 'Name of the type of the machine';
COMMENT ON COLUMN five_machines.age IS 'Years at the start of the newest run; NULL when not known';

-- What a run was worth, and the truth in the shapes that survival and classification methods read.

CREATE VIEW machine_states AS
SELECT g.run_id, g.machine_id, g.operating_state, g.ts AS start_at,
    lead(g.ts, 1, r.reached_at) OVER (PARTITION BY g.run_id, g.machine_id ORDER BY g.ts) AS end_at
FROM ground_truth g JOIN (
    SELECT run_id, least(end_at, start_at + to_microseconds(committed_ticks * interval_us)) AS reached_at FROM runs
) r ON g.run_id = r.run_id AND g.ts < r.reached_at;
COMMENT ON VIEW machine_states IS 'Truth: what each machine was doing from when to when (neighbouring rows may agree)';
COMMENT ON COLUMN machine_states.run_id IS 'The run, in runs';
COMMENT ON COLUMN machine_states.machine_id IS 'The machine';
COMMENT ON COLUMN machine_states.operating_state IS 'What the machine was doing';
COMMENT ON COLUMN machine_states.start_at IS 'From when, UTC';
COMMENT ON COLUMN machine_states.end_at IS 'Until when (not included), UTC';

CREATE VIEW repairs AS
SELECT f.run_id, f.machine_id, f.failed_at, f.mode, f.cause, s.start_at AS repaired_at
FROM failures f ASOF LEFT JOIN (
    SELECT run_id, machine_id, start_at FROM machine_states WHERE operating_state IN ('running', 'idle')
) s ON s.run_id = f.run_id AND s.machine_id = f.machine_id AND s.start_at > f.failed_at;
COMMENT ON VIEW repairs IS 'Failures, and when the machine worked again';
COMMENT ON COLUMN repairs.run_id IS 'The run, in runs';
COMMENT ON COLUMN repairs.machine_id IS 'The machine';
COMMENT ON COLUMN repairs.failed_at IS 'When it failed, UTC';
COMMENT ON COLUMN repairs.mode IS 'Name of the failure mode';
COMMENT ON COLUMN repairs.cause IS 'What led to it';
COMMENT ON COLUMN repairs.repaired_at IS 'When it worked again, UTC; NULL where it did not in this run';

CREATE VIEW kpis AS
WITH hours AS (
    SELECT run_id, machine_id,
        coalesce(sum(h) FILTER (operating_state IN ('running', 'idle')), 0) AS up_h,
        coalesce(sum(h) FILTER (operating_state = 'failed'), 0) AS failed_h,
        coalesce(sum(h) FILTER (operating_state = 'maintenance'), 0) AS maintenance_h,
        coalesce(sum(h) FILTER (operating_state = 'off'), 0) AS tripped_h
    FROM (SELECT *, epoch_us(end_at - start_at) / 3.6e9 AS h FROM machine_states) GROUP BY ALL
), broken AS (
    SELECT run_id, machine_id, count(*) AS failures, avg(epoch_us(repaired_at - failed_at)) / 3.6e9 AS mttr_h
    FROM repairs GROUP BY ALL
), work AS (
    SELECT run_id, machine_id, count(*) AS tasks_done, sum(labour_cost) AS labour_cost, sum(parts_cost) AS parts_cost
    FROM maintenance_log GROUP BY ALL
)
SELECT m.run_id, m.machine_id, m.machine, m.machine_type, h.up_h,
    h.failed_h + h.maintenance_h + h.tripped_h AS downtime_h, h.failed_h, h.maintenance_h, h.tripped_h,
    h.up_h / nullif(h.up_h + h.failed_h + h.maintenance_h + h.tripped_h, 0) AS availability,
    coalesce(b.failures, 0) AS failures, h.up_h / nullif(b.failures, 0) AS mtbf_h, b.mttr_h,
    coalesce(w.tasks_done, 0) AS tasks_done, coalesce(w.labour_cost, 0) AS labour_cost,
    coalesce(w.parts_cost, 0) AS parts_cost,
    (h.failed_h + h.maintenance_h + h.tripped_h) * m.downtime_cost_per_h AS downtime_cost,
    coalesce(w.labour_cost, 0) + coalesce(w.parts_cost, 0)
        + (h.failed_h + h.maintenance_h + h.tripped_h) * m.downtime_cost_per_h AS cost
FROM run_machines m JOIN hours h USING (run_id, machine_id) LEFT JOIN broken b USING (run_id, machine_id)
    LEFT JOIN work w USING (run_id, machine_id);
COMMENT ON VIEW kpis IS 'Availability, reliability and cost of each machine in each run';
COMMENT ON COLUMN kpis.run_id IS 'The run, in runs';
COMMENT ON COLUMN kpis.machine_id IS 'The machine';
COMMENT ON COLUMN kpis.machine IS 'Name of the machine';
COMMENT ON COLUMN kpis.machine_type IS 'Name of its type, in machine_types';
COMMENT ON COLUMN kpis.up_h IS 'Time running or idle, h';
COMMENT ON COLUMN kpis.downtime_h IS 'Time failed, in maintenance or tripped, h';
COMMENT ON COLUMN kpis.failed_h IS 'Time from failures to the beginning of work, h';
COMMENT ON COLUMN kpis.maintenance_h IS 'Time in maintenance, h';
COMMENT ON COLUMN kpis.tripped_h IS 'Time stopped by the control system, h';
COMMENT ON COLUMN kpis.availability IS 'Share of the time running or idle, 0 to 1';
COMMENT ON COLUMN kpis.failures IS 'Functional failures';
COMMENT ON COLUMN kpis.mtbf_h IS 'Mean time between failures: time up for each failure, h; NULL without failures';
COMMENT ON COLUMN kpis.mttr_h IS 'Mean time to repair: from failures to when the machine worked again, h';
COMMENT ON COLUMN kpis.tasks_done IS 'Maintenance tasks that were done';
COMMENT ON COLUMN kpis.labour_cost IS 'Cost of the working time, in the currency of the plant';
COMMENT ON COLUMN kpis.parts_cost IS 'Cost of parts';
COMMENT ON COLUMN kpis.downtime_cost IS 'Cost of all downtime';
COMMENT ON COLUMN kpis.cost IS 'Sum of labour, parts and downtime';

CREATE VIEW run_kpis AS
SELECT r.run_id, r.name, r.policy, r.status, r.telemetry, r.seed, r.base_run_id, r.world_sha256, count(*) AS machines,
    CAST(sum(k.failures) AS BIGINT) AS failures, CAST(sum(k.tasks_done) AS BIGINT) AS tasks_done,
    sum(k.downtime_h) AS downtime_h, sum(k.up_h) / nullif(sum(k.up_h) + sum(k.downtime_h), 0) AS availability,
    sum(k.up_h) / nullif(sum(k.failures), 0) AS mtbf_h,
    sum(k.mttr_h * k.failures) / nullif(sum(k.failures) FILTER (k.mttr_h IS NOT NULL), 0) AS mttr_h,
    sum(k.labour_cost) AS labour_cost, sum(k.parts_cost) AS parts_cost, sum(k.downtime_cost) AS downtime_cost,
    sum(k.cost) AS cost
FROM runs r JOIN kpis k USING (run_id)
GROUP BY r.run_id, r.name, r.policy, r.status, r.telemetry, r.seed, r.base_run_id, r.world_sha256;
COMMENT ON VIEW run_kpis IS 'Availability, reliability and cost of the whole fleet in each run';
COMMENT ON COLUMN run_kpis.run_id IS 'The run, in runs';
COMMENT ON COLUMN run_kpis.name IS 'What people call the run';
COMMENT ON COLUMN run_kpis.policy IS 'The maintenance policy in words';
COMMENT ON COLUMN run_kpis.status IS 'How far the run is';
COMMENT ON COLUMN run_kpis.telemetry IS 'Whether the run has readings';
COMMENT ON COLUMN run_kpis.seed IS 'Seed of all noise';
COMMENT ON COLUMN run_kpis.base_run_id IS 'Of a what-if: the run that it departs from';
COMMENT ON COLUMN run_kpis.world_sha256 IS 'Equal for paired runs';
COMMENT ON COLUMN run_kpis.machines IS 'Number of machines';
COMMENT ON COLUMN run_kpis.failures IS 'Functional failures';
COMMENT ON COLUMN run_kpis.tasks_done IS 'Maintenance tasks that were done';
COMMENT ON COLUMN run_kpis.downtime_h IS 'Downtime of all machines, h';
COMMENT ON COLUMN run_kpis.availability IS 'Share of the time running or idle, 0 to 1';
COMMENT ON COLUMN run_kpis.mtbf_h IS 'Mean time between failures, h; NULL without failures';
COMMENT ON COLUMN run_kpis.mttr_h IS 'Mean time to repair, h; NULL without repairs';
COMMENT ON COLUMN run_kpis.labour_cost IS 'Cost of the working time, in the currency of the plant';
COMMENT ON COLUMN run_kpis.parts_cost IS 'Cost of parts';
COMMENT ON COLUMN run_kpis.downtime_cost IS 'Cost of all downtime';
COMMENT ON COLUMN run_kpis.cost IS 'Sum of labour, parts and downtime';

CREATE VIEW lifetimes AS
SELECT l.run_id, l.machine_id, m.machine, m.machine_type, l.mode, l.renewal, l.start_h AS start, l.stop_h AS stop,
    l.event, l.cause, l.started_at, l.ended_at, epoch_us(l.ended_at - l.started_at) / 3.6e9 AS calendar_h,
    (l.stop_h - l.start_h) / nullif(epoch_us(l.ended_at - l.started_at) / 3.6e9, 0) AS stress
FROM lives l JOIN run_machines m USING (run_id, machine_id);
COMMENT ON VIEW lifetimes IS 'Truth: lives of parts in the shape of survival libraries, censored and left-truncated';
COMMENT ON COLUMN lifetimes.run_id IS 'The run, in runs';
COMMENT ON COLUMN lifetimes.machine_id IS 'The machine';
COMMENT ON COLUMN lifetimes.machine IS 'Name of the machine';
COMMENT ON COLUMN lifetimes.machine_type IS 'Name of its type, in machine_types';
COMMENT ON COLUMN lifetimes.mode IS 'Name of the failure mode';
COMMENT ON COLUMN lifetimes.renewal IS 'How often the part was renewed before, from 0';
COMMENT ON COLUMN lifetimes.start IS 'Age at entry, effective hours';
COMMENT ON COLUMN lifetimes.stop IS 'Age at failure or censoring, effective hours';
COMMENT ON COLUMN lifetimes.event IS 'Whether the part failed by this mode; else it is censored';
COMMENT ON COLUMN lifetimes.cause IS 'How it ended';
COMMENT ON COLUMN lifetimes.started_at IS 'Entry, UTC';
COMMENT ON COLUMN lifetimes.ended_at IS 'Failure or censoring, UTC';
COMMENT ON COLUMN lifetimes.calendar_h IS 'Time between the two by the calendar, h';
COMMENT ON COLUMN lifetimes.stress IS 'Effective hours for each hour by the calendar: 1 at nominal duty';

CREATE VIEW machine_lifetimes AS
WITH ends AS (
    SELECT run_id, machine_id, failed_at AS ended_at, repaired_at, true AS event, mode AS cause FROM repairs
    UNION ALL
    SELECT m.run_id, m.machine_id, least(r.end_at, r.start_at + to_microseconds(r.committed_ticks * r.interval_us)), NULL,
        false, 'end'
    FROM run_machines m JOIN runs r USING (run_id)
), spans AS (
    SELECT e.*, m.machine, m.machine_type, r.start_at AS run_start, row_number() OVER w - 1 AS episode,
        CASE WHEN row_number() OVER w = 1 THEN r.start_at ELSE lag(e.repaired_at) OVER w END AS started_at
    FROM ends e JOIN run_machines m USING (run_id, machine_id) JOIN runs r USING (run_id)
    WINDOW w AS (PARTITION BY e.run_id, e.machine_id ORDER BY e.ended_at, e.event DESC)
)
SELECT run_id, machine_id, machine, machine_type, CAST(episode AS INTEGER) AS episode,
    epoch_us(started_at - run_start) / 3.6e9 AS start, epoch_us(ended_at - run_start) / 3.6e9 AS stop, event, cause
FROM spans WHERE started_at < ended_at;
COMMENT ON VIEW machine_lifetimes IS 'Times between failures of machines: recurrent events with competing causes, censored';
COMMENT ON COLUMN machine_lifetimes.run_id IS 'The run, in runs';
COMMENT ON COLUMN machine_lifetimes.machine_id IS 'The machine';
COMMENT ON COLUMN machine_lifetimes.machine IS 'Name of the machine';
COMMENT ON COLUMN machine_lifetimes.machine_type IS 'Name of its type, in machine_types';
COMMENT ON COLUMN machine_lifetimes.episode IS 'The how-manieth time between failures, from 0';
COMMENT ON COLUMN machine_lifetimes.start IS 'When the machine began to work, hours since the start of the run';
COMMENT ON COLUMN machine_lifetimes.stop IS 'When it failed, or ceased to be observed, hours since the start of the run';
COMMENT ON COLUMN machine_lifetimes.event IS 'Whether it failed; else it is censored';
COMMENT ON COLUMN machine_lifetimes.cause IS 'The failure mode, or end';

CREATE VIEW failure_labels AS
SELECT g.run_id, g.machine_id, g.ts, g.operating_state, g.rul_h, f.mode AS next_mode,
    epoch_us(f.failed_at - g.ts) / 3.6e9 AS hours_to_failure,
    CASE WHEN f.failed_at <= g.ts + INTERVAL 24 HOUR THEN true WHEN g.ts + INTERVAL 24 HOUR <= r.end_at THEN false END
        AS fails_within_24h,
    CASE WHEN f.failed_at <= g.ts + INTERVAL 7 DAY THEN true WHEN g.ts + INTERVAL 7 DAY <= r.end_at THEN false END
        AS fails_within_7d,
    CASE WHEN f.failed_at <= g.ts + INTERVAL 30 DAY THEN true WHEN g.ts + INTERVAL 30 DAY <= r.end_at THEN false END
        AS fails_within_30d
FROM ground_truth g JOIN runs r USING (run_id) ASOF LEFT JOIN failures f
    ON f.run_id = g.run_id AND f.machine_id = g.machine_id AND f.failed_at > g.ts
WHERE g.operating_state IN ('running', 'idle');
COMMENT ON VIEW failure_labels IS 'Truth as labels: what fails next on a machine that works, and how soon';
COMMENT ON COLUMN failure_labels.run_id IS 'The run, in runs';
COMMENT ON COLUMN failure_labels.machine_id IS 'The machine';
COMMENT ON COLUMN failure_labels.ts IS 'Time of the label, UTC; the machine works then';
COMMENT ON COLUMN failure_labels.operating_state IS 'What the machine is doing';
COMMENT ON COLUMN failure_labels.rul_h IS 'Remaining useful life without further maintenance, h';
COMMENT ON COLUMN failure_labels.next_mode IS 'The next failure of this run; NULL where none came';
COMMENT ON COLUMN failure_labels.hours_to_failure IS 'Until that failure, h; NULL where none came';
COMMENT ON COLUMN failure_labels.fails_within_24h IS 'Whether it came within a day; NULL where the run ends before that is known';
COMMENT ON COLUMN failure_labels.fails_within_7d IS 'The same for a week';
COMMENT ON COLUMN failure_labels.fails_within_30d IS 'The same for thirty days';

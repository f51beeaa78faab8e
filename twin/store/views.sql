-- Views: what people ask of the tables again and again. Schema version 1.

CREATE VIEW machine_telemetry AS
SELECT t.run_id, m.name AS machine, m.machine_type, t.* EXCLUDE (run_id)
FROM telemetry t LEFT JOIN machines m USING (machine_id);
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
COMMENT ON VIEW five_errors IS 'Errors that did not stop a machine, in the five-table shape';
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
SELECT run_id, ts AS datetime, machine_id AS machineID, failure_mode AS failure FROM failures;
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
